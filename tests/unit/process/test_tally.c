/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/socket.h>
#include <unistd.h>

#include "keyd/process/tally.h"
#include "tests/unit/test.h"

#define S     1000000ull /* a second of clock_us */
#define START (5000 * S)

/* `n` pieces of work in each second from `from` up to before `to`, in seconds after START. */
struct load {
    uint64_t from, to;
    uint32_t n;
};

static const struct {
    const char *what;
    struct load loads[3];
    uint64_t now_us; /* after START */
    uint64_t rate_10s, rate_60s;
} rates[] = {
    {"nothing", {{0, 0, 0}}, 100 * S, 0, 0},
    {"even work", {{0, 100, 50}}, 100 * S - 1, 50000, 50000},
    {"young: what there was, by the age", {{0, 4, 100}}, 4 * S, 100000, 100000},
    {"under a second counts as one", {{0, 1, 30}}, S / 10, 30000, 30000},
    {"at the start itself", {{0, 1, 30}}, 0, 30000, 30000},
    {"a second has begun", {{0, 100, 50}, {100, 101, 25}}, 100 * S + S / 2, 50000, 50000},
    {"no more since 5 s", {{0, 95, 40}}, 100 * S - 1, 20000, 36666},
    {"no more since 30 s", {{0, 70, 60}}, 100 * S - 1, 0, 30000},
    {"no more since 60 s", {{0, 40, 60}}, 100 * S - 1, 0, 0},
    {"long ago, and slots are not taken for today's", {{0, 64, 9}}, 128 * S - 1, 0, 0},
    {"began again after a pause", {{0, 64, 9}, {128, 138, 10}}, 138 * S - 1, 10000, 1666},
    {"faster now", {{0, 50, 10}, {50, 60, 70}}, 60 * S - 1, 70000, 20000},
};

/* To a thousandth of what is wanted: windows end within a microsecond of a whole second. */
static void is_near(const char *what, uint64_t got, uint64_t wanted)
{
    if (got + wanted / 1000 + 1 < wanted || got > wanted + wanted / 1000 + 1)
        fail_msg("%s: %llu, not %llu", what, (unsigned long long)got, (unsigned long long)wanted);
}

static void rates_are_of_the_last_seconds(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rates); i++) {
        struct tally t = {0};

        for (size_t l = 0; l < COUNT(rates[i].loads); l++) {
            const struct load *load = &rates[i].loads[l];

            for (uint64_t second = load->from; second < load->to; second++)
                for (uint32_t n = 0; n < load->n; n++)
                    tally_count(&t, START + second * S + n, 100);
        }
        is_near(rates[i].what, tally_rate(&t, 10, START, START + rates[i].now_us),
                rates[i].rate_10s);
        is_near(rates[i].what, tally_rate(&t, 60, START, START + rates[i].now_us),
                rates[i].rate_60s);
    }
}

/* ---- as a message: a signer writes, the parent's side of the table lets it be read */

struct pair {
    struct chan signer, parent;
};

static struct pair connected(void)
{
    struct pair p;
    struct err err;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_true(chan_open(&p.signer, ends[0], PROC_SIGNER, PROC_PARENT, 0, 1, &err));
    assert_true(chan_open(&p.parent, ends[1], PROC_PARENT, PROC_SIGNER, 0, 1, &err));
    chan_put(&p.signer, MSG_STATS);
    return p;
}

static struct msg sent(struct pair *p)
{
    struct msg m;
    struct err err;

    chan_end(&p->signer);
    assert_true(chan_flush(&p->signer));
    assert_int_equal(chan_read(&p->parent, &err), CHAN_OPEN);
    assert_true(chan_next(&p->parent, &m));
    return m;
}

static void disconnect(struct pair *p)
{
    chan_close(&p->signer);
    chan_close(&p->parent);
}

static void tallies_add_up_over_messages(void **state)
{
    struct tally fast = {0}, slow = {0};
    struct tally_sum sum = {0};
    struct pair p = connected();

    (void)state;
    for (uint32_t n = 0; n < 300; n++) {
        tally_count(&fast, START + n * S / 10, 40);
        tally_count(&slow, START + n * S / 10, n % 2 ? 900 : 1);
    }
    tally_put(&p.signer, &fast, START, START + 30 * S - 1);
    tally_put(&p.signer, &slow, START, START + 30 * S - 1);
    struct msg m = sent(&p);
    tally_get(&m, &sum);
    tally_get(&m, &sum);
    msg_end(&m, &p.parent);
    assert_true(sum.took.total == 600);
    is_near("10 s", sum.rate_10s, 20000);
    is_near("60 s", sum.rate_60s, 20000);
    assert_int_equal(histogram_percentile(&sum.took, 250), 1);
    assert_in_range(histogram_percentile(&sum.took, 750), 38, 42);
    assert_in_range(histogram_percentile(&sum.took, 760), 844, 956);
    disconnect(&p);
}

/* The longest there can be: every bucket filled, for every scheme. */
static void all_buckets_fit_into_a_message(void **state)
{
    struct tally t = {0};
    struct tally_sum sum = {0};
    struct pair p = connected();

    (void)state;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        histogram_add_bucket(&t.took, i, 3);
    for (int i = 0; i < 20; i++)
        tally_put(&p.signer, &t, START, START + S);
    struct msg m = sent(&p);
    for (int i = 0; i < 20; i++)
        tally_get(&m, &sum);
    msg_end(&m, &p.parent);
    assert_true(sum.took.total == 20 * 3 * HISTOGRAM_BUCKETS);
    disconnect(&p);
}

static const struct {
    const char *what;
    uint32_t filled; /* buckets announced */
    uint8_t bucket;  /* of the one that is there */
    size_t bytes;    /* of it that are there, of 9 */
    bool good;
} bad[] = {
    {"one bucket", 1, HISTOGRAM_BUCKETS - 1, 9, true},
    {"no bucket", 0, 0, 0, true},
    {"a bucket that cannot be", 1, HISTOGRAM_BUCKETS, 9, false},
    {"the last of them", 1, 255, 9, false},
    {"cut short", 1, 3, 8, false},
    {"fewer than announced", 2, 3, 9, false},
    {"far fewer than announced", UINT32_MAX, 3, 9, false},
    {"more than announced", 0, 3, 9, false},
};

static void nonsense_fails_the_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct pair p = connected();
        struct tally_sum sum = {0};
        const uint8_t bucket[9] = {bad[i].bucket, 0, 0, 0, 0, 0, 0, 0, 1};

        put_u64(&p.signer, 1000);
        put_u64(&p.signer, 1000);
        put_u32(&p.signer, bad[i].filled);
        put_raw(&p.signer, bucket, bad[i].bytes);
        struct msg m = sent(&p);
        tally_get(&m, &sum);
        if (rd_end(&m.body) != bad[i].good)
            fail_msg("%s: %s", bad[i].what, bad[i].good ? "refused" : "taken");
        disconnect(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_of_the_last_seconds),
        cmocka_unit_test(tallies_add_up_over_messages),
        cmocka_unit_test(all_buckets_fit_into_a_message),
        cmocka_unit_test(nonsense_fails_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
