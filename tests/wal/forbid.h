/* Lets a system call fail: what an old kernel, a container's filter or a machine out of resources looks like. For this
 * process, for good, so for tests that run in a process of their own, as Criterion's do. */
#ifndef TESTS_WAL_FORBID_H
#define TESTS_WAL_FORBID_H

#include "engine/base/units.h"

#include <criterion/criterion.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* From here on `call` (__NR_...) does nothing and answers -error; 0 is possible, too. Skips the test where there is no
 * seccomp. */
static inline void forbid(long call, unsigned error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { .len = ARRAY_COUNT(filter), .filter = filter };
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        cr_skip_test("no seccomp here");
    }
}

#endif
