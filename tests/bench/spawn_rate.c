/* SPDX-License-Identifier: Apache-2.0 */
/* How many /bin/true one core starts and reaps a second with posix_spawn, nothing else around:
 * the limit that `map` is compared with. As the peers' measurement of process starts. */
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N_STARTS 3000

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(void)
{
    static char program[] = "/bin/true";
    static char *argv[] = {program, NULL};
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof(one), &one);
    double start = now_s();
    for (int i = 0; i < N_STARTS; i++) {
        pid_t pid;
        if (posix_spawn(&pid, program, NULL, NULL, argv, environ) != 0 ||
            waitpid(pid, NULL, 0) != pid) {
            perror("posix_spawn");
            return 1;
        }
    }
    printf("posix_spawn /bin/true, 1 core: %.0f /s\n", N_STARTS / (now_s() - start));
    return 0;
}
