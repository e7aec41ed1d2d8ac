/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/parent/pins.h"

/* ---- reading */

static void reads_what_is_there(void **state)
{
    struct pin p;
    struct err err;

    (void)state;
    assert_true(pin_read(&p, file, &err));
    assert_true(is(&p.now, "old"));
    assert_int_equal(p.other.len, 0);
    assert_int_equal(p.state, PIN_SETTLED);
    pin_free(&p);
    put_file(".new", "new\n", 0600);
    assert_true(pin_read(&p, file, &err));
    assert_true(is(&p.now, "old"));
    assert_true(is(&p.other, "new"));
    assert_int_equal(p.state, PIN_OPEN);
    pin_free(&p);
}

static void what_was_never_given_is_no_candidate(void **state)
{
    static const char *const leavings[] = {"", "\n", "old", "old\n"};
    struct pin p;
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT(leavings); i++) {
        put_file(".new", leavings[i], 0600);
        assert_true(pin_read(&p, file, &err));
        assert_int_equal(p.state, PIN_SETTLED);
        assert_null(in_file(".new"));
        pin_free(&p);
    }
}

static void refuses_to_read(void **state)
{
    struct pin p;
    struct err err;

    (void)state;
    put_file(".new", "new\n", 0644);
    assert_false(pin_read(&p, file, &err));
    assert_contains(err.text, "cut short");
    assert_contains(err.text, ".new");
    unlink(beside(".new"));
    put_file("", "\n", 0600);
    assert_false(pin_read(&p, file, &err));
    assert_contains(err.text, "is empty");
    unlink(file);
    assert_false(pin_read(&p, file, &err));
    assert_int_equal(err.code, ERR_STORAGE);
}

/* ---- the new one */

static void makes_one_that_any_token_takes(void **state)
{
    static const struct {
        uint32_t least, most;
        size_t len;
    } rows[] = {{0, 0, 39}, {4, 255, 39}, {4, 39, 39}, {39, 39, 39}, {64, 255, 64}};
    struct pin p;
    struct err err;
    struct stat st;
    char last[300] = "";

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_true(pin_read(&p, file, &err));
        assert_true(pin_offer(&p, rows[i].least, rows[i].most, &err));
        assert_int_equal(p.state, PIN_GIVEN);
        assert_false(p.given);
        assert_int_equal(p.other.len, rows[i].len);
        assert_true(is(&p.other, in_file(".new")));
        assert_int_equal(strspn(in_file(".new"), "0123456789"), rows[i].len);
        assert_string_not_equal(in_file(".new"), last);
        snprintf(last, sizeof(last), "%s", in_file(".new"));
        assert_string_equal(in_file(""), "old");
        assert_int_equal(stat(beside(".new"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        pin_free(&p);
        unlink(beside(".new"));
    }
}

static void offers_nothing(const char *word, uint32_t least, uint32_t most, enum err_code code)
{
    struct pin p;
    struct err err;

    assert_true(pin_read(&p, file, &err));
    assert_false(pin_offer(&p, least, most, &err));
    assert_int_equal(err.code, code);
    assert_contains(err.text, word);
    assert_null(strstr(err.text, "secret"));
    assert_int_equal(p.state, PIN_SETTLED);
    assert_int_equal(p.other.len, 0);
    assert_null(in_file(".new"));
    assert_true(is(&p.now, in_file("")));
    pin_free(&p);
}

static void takes_none_that_does_not_do(void **state)
{
    (void)state;
    offers_nothing("4 to 16 characters", 4, 16, ERR_UNSUPPORTED);
    put_file(".next", "secret\n", 0640);
    offers_nothing("mode 0640", 4, 255, ERR_DENIED);
    put_file(".next", "secret\n", 0600);
    offers_nothing("6 characters; the token takes 8 to 255", 8, 255, ERR_BAD_REQUEST);
    offers_nothing("6 characters; the token takes 1 to 5", 1, 5, ERR_BAD_REQUEST);
    put_file(".next", "secret\nsecret\n", 0600);
    offers_nothing("holds no PIN", 4, 255, ERR_BAD_REQUEST);
    put_file(".next", "", 0600);
    offers_nothing("holds no PIN", 4, 255, ERR_BAD_REQUEST);
    put_file(".next", "old", 0600);
    offers_nothing("in use already", 0, 0, ERR_BAD_REQUEST);
    unlink(beside(".next"));
    assert_int_equal(symlink("/dev/null", beside(".next")), 0);
    offers_nothing(".next", 4, 255, ERR_DENIED);
}

static void only_a_file_that_it_can_replace(void **state)
{
    struct pin p;
    struct err err;

    (void)state;
    assert_true(pin_read(&p, file, &err));
    put_file("", "edited\n", 0600);
    assert_false(pin_offer(&p, 4, 255, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_contains(err.text, "was changed since");
    assert_int_equal(rename(file, beside(".away")), 0);
    char away[100];
    snprintf(away, sizeof(away), "%s", beside(".away"));
    assert_int_equal(symlink(away, file), 0);
    assert_false(pin_offer(&p, 4, 255, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_contains(err.text, "no plain file");
    assert_null(in_file(".new"));
    pin_free(&p);
}

static void the_operators_own(void **state)
{
    struct pin p;
    struct err err;

    (void)state;
    put_file(".next", "my own\n", 0600);
    assert_true(pin_read(&p, file, &err));
    assert_true(pin_offer(&p, 4, 255, &err));
    assert_true(p.given);
    assert_true(is(&p.other, "my own"));
    assert_string_equal(in_file(".new"), "my own");
    assert_string_equal(in_file(".next"), "my own"); /* until it is certain */
    assert_true(pin_swap(&p, &err));
    assert_true(pin_settle(&p, &err));
    assert_string_equal(in_file(""), "my own");
    assert_null(in_file(".next"));
    assert_null(in_file(".new"));
    pin_free(&p);
}

/* ---- which of the two */

static void they_change_places(void **state)
{
    struct pin p;
    struct err err;

    (void)state;
    put_file(".new", "new\n", 0600);
    assert_true(pin_read(&p, file, &err));
    assert_false(pin_is_new(&p));
    assert_true(pin_swap(&p, &err));
    assert_true(is(&p.now, "new"));
    assert_true(is(&p.other, "old"));
    assert_string_equal(in_file(""), "new");
    assert_string_equal(in_file(".new"), "old");
    assert_true(pin_is_new(&p));
    assert_true(pin_swap(&p, &err));
    assert_string_equal(in_file(""), "old");
    assert_true(pin_settle(&p, &err));
    assert_string_equal(in_file(""), "old");
    assert_null(in_file(".new"));
    assert_int_equal(p.state, PIN_SETTLED);
    pin_free(&p);
}

/* Where the two cannot change places on the disk, the end is the same. */
static void or_only_in_memory(void **state)
{
    struct pin p;
    struct err err;

    (void)state;
    put_file(".new", "new\n", 0600);
    assert_true(pin_read(&p, file, &err));
    assert_int_equal(rename(file, beside(".away")), 0);
    assert_false(pin_swap(&p, &err)); /* there is nothing to exchange with */
    assert_int_equal(rename(beside(".away"), file), 0);
    assert_true(is(&p.now, "new"));
    assert_string_equal(in_file(""), "old");
    assert_true(pin_is_new(&p));
    assert_true(pin_settle(&p, &err));
    assert_string_equal(in_file(""), "new");
    assert_null(in_file(".new"));
    pin_free(&p);
}

/* ---- the whole, with a token that is two words: its PIN, and that of its guarded copy */

struct model {
    char token[300], guard[300];
    unsigned wrong_old, wrong_new;
};

enum { STEPS = 7 };

static void copy(char *to, const struct secret *from)
{
    snprintf(to, 300, "%.*s", (int)from->len, (const char *)from->bytes);
}

/* A change that ends before its step `end`. `emptied`: a killed SetPIN has emptied the file. */
static void change_until(struct model *m, int end, bool emptied)
{
    struct pin p;
    struct err err;

    assert_true(pin_read(&p, file, &err));
    for (int step = 0; step < end; step++) {
        if (step == 0)
            assert_true(pin_offer(&p, 4, 255, &err));
        else if (step == 1 && emptied)
            m->token[0] = 0;
        else if (step == 2)
            copy(m->token, &p.other);
        else if (step == 3)
            snprintf(m->guard, sizeof(m->guard), "%s", m->token);
        else if (step == 4)
            assert_true(pin_swap(&p, &err));
        else if (step == 5)
            assert_true(pin_settle(&p, &err));
    }
    pin_free(&p); /* killed */
}

/* A login; one that is killed on its way empties the file, and the copy is put back. */
static bool login(struct model *m, const struct secret *pin, bool killed)
{
    if (!m->token[0])
        snprintf(m->token, sizeof(m->token), "%s", m->guard);
    if (killed) {
        m->token[0] = 0;
        return false;
    }
    if (is(pin, m->token))
        return true;
    if (is(pin, "old"))
        m->wrong_old++;
    else
        m->wrong_new++;
    return false;
}

/* Starts, of which the first `killed` are killed in their login, and the one after them after a
 * refusal, if there is one. */
static void start_again(struct model *m, unsigned killed)
{
    struct pin p;
    struct err err;

    for (; killed > 0; killed--) {
        assert_true(pin_read(&p, file, &err));
        (void)login(m, &p.now, true);
        pin_free(&p);
    }
    assert_true(pin_read(&p, file, &err));
    if (!login(m, &p.now, false)) {
        assert_true(p.other.len > 0);
        assert_true(pin_swap(&p, &err));
        pin_free(&p); /* killed here: the next one does not try the wrong one again */
        assert_true(pin_read(&p, file, &err));
        assert_true(login(m, &p.now, false));
    }
    snprintf(m->guard, sizeof(m->guard), "%s", m->token);
    if (p.other.len)
        assert_true(pin_settle(&p, &err));
    pin_free(&p);
}

static void cut_short_anywhere(void **state)
{
    (void)state;
    for (int end = 0; end <= STEPS; end++) {
        for (unsigned variant = 0; variant < 6; variant++) {
            struct model m = {.token = "old", .guard = "old"};

            put_file("", "old\n", 0600);
            unlink(beside(".new"));
            change_until(&m, end, variant & 1);
            start_again(&m, variant / 2);
            assert_true(m.wrong_old <= 1 && m.wrong_new <= 1);
            assert_string_equal(in_file(""), m.token);
            assert_string_equal(m.guard, m.token);
            assert_null(in_file(".new"));
            if (end == 0)
                assert_string_equal(m.token, "old");
            change_until(&m, STEPS, false);
            assert_string_equal(in_file(""), m.token);
            assert_string_not_equal(m.token, "old");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(reads_what_is_there),
        T(what_was_never_given_is_no_candidate),
        T(refuses_to_read),
        T(makes_one_that_any_token_takes),
        T(takes_none_that_does_not_do),
        T(only_a_file_that_it_can_replace),
        T(the_operators_own),
        T(they_change_places),
        T(or_only_in_memory),
        T(cut_short_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
