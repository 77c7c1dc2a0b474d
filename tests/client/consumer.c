/* Somebody's program in C, built against the installed library alone. Without an argument: nobody is there, and the
 * library says so. With an address: one booking, which books once however often it is sent. */
#include <innkeep/innkeep.h>

#include <stdio.h>
#include <string.h>

static int expect_nobody(void)
{
    struct inn_connection *connection = NULL;
    struct inn_error error;
    int verdict = inn_connect(&connection, "127.0.0.1:1", NULL, &error);
    printf("%s: %s\n", inn_verdict_name(verdict), error.text);
    return verdict == INN_NO_ANSWER && connection == NULL ? 0 : 1;
}

static int book(struct inn_connection *connection)
{
    struct inn_property_create_request property = { .mutation = { .property = 77, .key = inn_key_random() } };
    struct inn_room_type_create_request type = { .mutation = { .property = 77, .key = inn_key_random() },
                                                 .room_type = 1,
                                                 .rooms = 1 };
    struct inn_reserve_request reserve = {
        .mutation = { .property = 77, .key = inn_key_random() }, .nights = 1, .rooms = 1, .room_type = 1
    };
    struct inn_mutation_result first;
    struct inn_mutation_result again;
    if (inn_date_parse("2026-12-24", &property.business_date) != INN_OK)
        return 1;
    reserve.arrival = property.business_date;
    if (inn_property_create(connection, &property, NULL) != INN_OK ||
        inn_room_type_create(connection, &type, NULL) != INN_OK)
        return 2;
    if (inn_reserve(connection, &reserve, &first) != INN_OK || inn_reserve(connection, &reserve, &again) != INN_OK)
        return 3;
    if ((again.header.flags & INN_REPLAYED) == 0 || again.header.original_lsn != first.header.lsn)
        return 4;
    reserve.mutation.key = inn_key_random();
    return inn_reserve(connection, &reserve, &again) == INN_SOLD_OUT && again.night == reserve.arrival ? 0 : 5;
}

int main(int argc, char **argv)
{
    struct inn_connection *connection = NULL;
    struct inn_error error;
    if (argc < 2)
        return expect_nobody();
    if (inn_connect(&connection, argv[1], NULL, &error) != INN_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 10;
    }
    int code = book(connection);
    inn_close(connection);
    return code;
}
