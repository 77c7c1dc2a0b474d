/* Verdicts: what Innkeep answers when asked. A status is an answer, not a failure; the engine's are logged with their
 * command and come out the same on every replay.
 *
 * On disk and on the wire: append, never renumber, never reuse. */
#ifndef ENGINE_STATUS_H
#define ENGINE_STATUS_H

#include <stdint.h>

/* X(name, number, class, explanation). Classes:
 *   DONE      the command took effect, or the query has its answer
 *   FINAL     the engine executed the command and said no; kept under its key until its deadline has passed
 *   UNTOUCHED nothing was executed and nothing is kept; this transmission changed nothing, but the key may be used by
 *             another transmission of the same command */
#define STATUS_MAP(X)                                                                                                  \
    X(OK, 0, DONE, "done")                                                                                             \
    X(SOLD_OUT, 1, FINAL,                                                                                              \
      "a night of the stay has too few rooms left; night, room_type, available and limit say which")                   \
    X(NO_SUCH_PROPERTY, 2, FINAL, "no such property")                                                                  \
    X(NO_SUCH_ROOM_TYPE, 3, FINAL, "the property has no such room type")                                               \
    X(NO_SUCH_RESERVATION, 4, FINAL, "the property has no reservation of that key")                                    \
    X(ALREADY_EXISTS, 5, FINAL, "a property or room type of that number exists")                                       \
    X(BEFORE_BUSINESS_DATE, 6, FINAL, "a night lies before the property's business date")                              \
    X(BEYOND_HORIZON, 7, FINAL, "a night lies beyond the property's horizon")                                          \
    X(HOLD_EXPIRED, 8, FINAL, "the hold ran out before it was confirmed; its rooms are returned")                      \
    X(STATE_CONFLICT, 9, FINAL, "the reservation's state does not allow this; state says which it is")                 \
    X(VERSION_CONFLICT, 10, FINAL, "the reservation changed since the version named")                                  \
    X(SUPERSEDED, 11, FINAL,                                                                                           \
      "a later mutation of the reservation replaced the kept outcome; this key may have taken effect before it")       \
    X(KEY_REUSED, 20, UNTOUCHED, "the key was used for other content; operation and original_lsn say for what")        \
    X(TOO_LATE, 21, UNTOUCHED,                                                                                         \
      "log time is past not_after: this transmission does nothing, and no outcome of the key is kept any more")        \
    X(DEADLINE_TOO_FAR, 22, UNTOUCHED, "not_after lies further ahead of log time than the server allows")              \
    X(FENCED, 30, UNTOUCHED, "a newer lease on the resource was granted; token is the newest")                         \
    X(LEASE_EXPIRED, 31, UNTOUCHED, "the lease ran out and nobody came after")                                         \
    X(LEASE_RELEASED, 32, UNTOUCHED, "the lease was released")                                                         \
    X(LEASE_HELD, 33, UNTOUCHED, "another session holds the lease; owner and deadline say who and until when")         \
    X(TOKEN_INVALID, 34, UNTOUCHED, "the token was never granted for this resource")                                   \
    X(TOKEN_UNKNOWN, 35, UNTOUCHED,                                                                                    \
      "the token lies beyond the shard's log: the log has lost something, or the token is made up")                    \
    X(NO_SUCH_LEASE, 36, UNTOUCHED, "the resource has no lease")                                                       \
    X(NO_SUCH_KEY, 37, UNTOUCHED,                                                                                      \
      "the key is unknown; a reserve whose deadline is past did not and will not take effect, or has ended and is "    \
      "forgotten")                                                                                                     \
    X(LIMIT_REACHED, 40, UNTOUCHED, "a table is full; limit says which")                                               \
    X(ALREADY_AT_LEVEL, 41, UNTOUCHED, "the shard's log is at that engine level, or above it; level says at which")    \
    X(OVERLOADED, 64, UNTOUCHED, "the server is too busy to log this; try again later")                                \
    X(DISK_FULL, 65, UNTOUCHED, "the log has no space for new commands")                                               \
    X(SHUTTING_DOWN, 66, UNTOUCHED, "the server takes no more work")                                                   \
    X(UNKNOWN_OPERATION, 80, UNTOUCHED, "no such operation in this version")                                           \
    X(BAD_ITEM_SIZE, 81, UNTOUCHED, "the item's size does not fit its operation or its message")                       \
    X(BAD_ITEM_VERSION, 82, UNTOUCHED, "the item's version is not one this server knows")                              \
    X(BAD_ITEM_FLAGS, 83, UNTOUCHED, "the item sets a flag that its operation does not have")                          \
    X(RESERVED_NOT_ZERO, 84, UNTOUCHED, "a reserved field is not zero")                                                \
    X(ZERO_PROPERTY, 85, UNTOUCHED, "property numbers start at 1")                                                     \
    X(ZERO_ROOM_TYPE, 86, UNTOUCHED, "room type numbers start at 1")                                                   \
    X(ZERO_KEY, 87, UNTOUCHED, "the key is all zero")                                                                  \
    X(UNEXPECTED_KEY, 88, UNTOUCHED, "this operation takes no key, and it is not zero")                                \
    X(ZERO_NIGHTS, 89, UNTOUCHED, "a stay has at least one night")                                                     \
    X(TOO_MANY_NIGHTS, 90, UNTOUCHED, "more nights than any horizon")                                                  \
    X(ZERO_ROOMS, 91, UNTOUCHED, "a reservation has at least one room")                                                \
    X(TOO_MANY_ROOMS, 92, UNTOUCHED, "more rooms than a room type can have")                                           \
    X(BAD_LINES, 93, UNTOUCHED, "the number of lines is not one this version takes")                                   \
    X(BAD_DATE, 94, UNTOUCHED, "a date lies outside the years 1 to 9999")                                              \
    X(REVERSED_RANGE, 95, UNTOUCHED, "the range ends before it begins")                                                \
    X(BAD_WEEKDAYS, 96, UNTOUCHED, "the weekday mask is empty or has bits beyond Sunday")                              \
    X(ZERO_DEADLINE, 97, UNTOUCHED, "a mutation names the time after which it must not happen")                        \
    X(ZERO_TTL, 98, UNTOUCHED, "a lease lasts longer than nothing")                                                    \
    X(TTL_TOO_LONG, 99, UNTOUCHED, "a hold or lease lasts longer than the 10 years this server counts to")             \
    X(BAD_FENCE, 100, UNTOUCHED, "a fence names a resource and a token, or neither")                                   \
    X(ZERO_RESOURCE, 101, UNTOUCHED, "resource numbers start at 1")                                                    \
    X(BAD_OWNER, 102, UNTOUCHED, "the owner is empty, or has bytes after its end")                                     \
    X(ZERO_TOKEN, 103, UNTOUCHED, "tokens start at 1")                                                                 \
    X(NO_SUCH_SHARD, 104, UNTOUCHED, "the shard number is not below the shard count")                                  \
    X(UNKNOWN_LEVEL, 105, UNTOUCHED, "this server does not know that engine level")                                    \
    X(BAD_MAGIC, 120, UNTOUCHED, "not an Innkeep message; the connection is closed")                                   \
    X(BAD_PROTOCOL_VERSION, 121, UNTOUCHED, "a protocol version this server does not speak; the connection is closed") \
    X(BAD_MESSAGE_SIZE, 122, UNTOUCHED,                                                                                \
      "the message's size is below its header's, above the limit or no multiple of 8; the connection is closed")       \
    X(BAD_CHECKSUM, 123, UNTOUCHED, "the message's checksum is wrong; the connection is closed")                       \
    X(BAD_MESSAGE, 124, UNTOUCHED,                                                                                     \
      "the message's items do not fill it exactly, or its header has unknown flags; the connection is closed")         \
    X(HELLO_EXPECTED, 125, UNTOUCHED, "a connection begins with exactly one hello; the connection is closed")          \
    X(TOO_MANY_CONNECTIONS, 126, UNTOUCHED, "the server has no place for another connection; it is closed")            \
    X(IDLE_TOO_LONG, 127, UNTOUCHED, "half a message or half a handshake, then silence; the connection is closed")

enum status {
#define STATUS_ENUM(name, number, class, text) STATUS_##name = (number),
    STATUS_MAP(STATUS_ENUM)
#undef STATUS_ENUM
};

enum status_class { STATUS_CLASS_DONE, STATUS_CLASS_FINAL, STATUS_CLASS_UNTOUCHED };

/* "SOLD_OUT"; "UNKNOWN_STATUS" for a number not in the map. Static storage. */
const char *status_name(uint16_t status);

/* The sentence that explains it, for people. Static storage. */
const char *status_text(uint16_t status);

/* The class of a status in the map; UNTOUCHED for any other number. */
enum status_class status_class(uint16_t status);

#endif
