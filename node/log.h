/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The daemon's log: logfmt lines on stderr, which in the background is node.log of the home. Two
 * files of 8 MiB. IPX_LOG=debug logs every trace record of the cores, else only what the node
 * itself decides.
 */
#include "base/trace.h"

#define LOG_FILE_MAX (8 << 20)

/* Points stderr (and stdout) at `<home>/node.log`; false if it cannot be opened. */
bool log_to_home(const char *home);
/* Begins a new file if the present one is full; nothing in the foreground. */
void log_rotate(void);
/* One line: time, level, event, then what `format` makes ("key=value key=value"). */
void log_line(const char *level, const char *event, const char *format, ...) IPX_PRINTF(3, 4);
/* The sink of the cores' traces; `user` is unused. */
void log_trace(void *user, const struct trace_record *r);
