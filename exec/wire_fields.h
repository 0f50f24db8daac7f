/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Shorthand for the tables of the wire files: FIELD(struct, key, type, member, options),
 * FIELDS(name) makes `name` from the array `name_list`, and MESSAGE gives a message its
 * two functions. Nothing else includes it.
 */
#include "exec/fields.h"

#define FIELD(s, k, t, m, ...)                                                                     \
    {                                                                                              \
        .key = (k), .type = FIELD_##t, .offset = offsetof(struct s, m), __VA_ARGS__                \
    }
#define INT(s, k, t, m, top) FIELD(s, k, t, m, .max = (top))
#define NEEDED(s, k, t, m, top) FIELD(s, k, t, m, .max = (top), .is_needed = true)
#define FLAG(s, k, m) FIELD(s, k, BOOL, m, .max = 1)

#define FIELDS(name) static const struct fields name = {name##_list, ARRAY_LEN(name##_list)}

/* exec_<x>_encode and exec_<x>_decode for struct exec_<s>, by table `t` */
#define MESSAGE(x, s, t)                                                                           \
    void exec_##x##_encode(const struct exec_##s *m, struct writer *w)                             \
    {                                                                                              \
        fields_encode(&(t), m, w);                                                                 \
    }                                                                                              \
    enum ipx_err exec_##x##_decode(struct slice in, struct exec_##s *ret)                          \
    {                                                                                              \
        return fields_decode(&(t), in, ret, sizeof(*ret));                                         \
    }

/* Needs of a job at keys k .. k + 3 of struct s, in its member `needs`. */
#define NEEDS(s, k)                                                                                \
    NEEDED(s, k, U32, needs.cpu, 65536), INT(s, (k) + 1, U64, needs.mem, UINT64_MAX),              \
        INT(s, (k) + 2, U64, needs.time_us, UINT64_MAX),                                           \
        INT(s, (k) + 3, U64, needs.in, UINT64_MAX)
