/* Contracts: what our own code owes to our own code.
 *
 * A broken contract is a bug of ours, never an answer and never the world's fault, so it stops the process in every
 * build: a server that has lost its footing must not go on confirming rooms. REQUIRE states what the caller owes,
 * ENSURE what the function owes. One condition each, so that the message names the one that failed.
 *
 * Source of the habit: TigerBeetle's TIGER_STYLE, SQLite's assert() discipline. */
#ifndef ENGINE_BASE_CONTRACT_H
#define ENGINE_BASE_CONTRACT_H

#include <assert.h>

/* Prints "file:line: function: kind (condition)" and aborts. The engine may not reach stdio, so whoever links it
 * supplies this function (contract_stderr.c is the usual one). */
_Noreturn void contract_broken(const char *kind, const char *condition, const char *file, int line,
                               const char *function);

#define CONTRACT_CHECK(kind, condition) \
    (__builtin_expect(!!(condition), 1) ? (void)0 : contract_broken(kind, #condition, __FILE__, __LINE__, __func__))

#define REQUIRE(condition) CONTRACT_CHECK("REQUIRE", condition)
#define ENSURE(condition) CONTRACT_CHECK("ENSURE", condition)
#define IMPLIES(a, b) (!(a) || (b))

#define MUST_USE __attribute__((warn_unused_result))

#endif
