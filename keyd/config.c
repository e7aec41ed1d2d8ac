/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/config.h"

#include <errno.h>
#include <grp.h>
#include <ini.h>
#include <netdb.h>
#include <pwd.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_STATE_DIR "/var/lib/keyd"
#define DEFAULT_RUN_DIR   "/run/keyd"
#define PRINCIPALS        "principals"
#define OWN_RULES         2

enum type { TEXT, PATH, NUMBER, CHOICE };

#define AT(field) offsetof(struct config, field), sizeof(((struct config *)0)->field)

/* Every setting there is. A default of "" for a number means: worked out at the start. */
static const struct setting {
    const char *section, *key;
    enum type type;
    size_t offset, size;
    uint32_t min, max;    /* NUMBER */
    const char *choice;   /* CHOICE: the word for true, a blank, the word for false */
    bool on_reload;       /* SIGHUP may change it */
    const char *fallback; /* the default */
    const char *doc;
} settings[] = {
    {"keyd", "state-dir", PATH, AT(state_dir), 0, 0, NULL, false, DEFAULT_STATE_DIR,
     "Where keyd keeps the registry, the PINs and an embedded token. Mode 0700."},
    {"keyd", "user", TEXT, AT(user), 0, 0, NULL, false, "",
     "Run as this user when started by root (the service unit starts keyd as keyd). Empty: stay."},
    {"keyd", "signers", NUMBER, AT(signers), 0, 64, NULL, false, "0",
     "Signer processes. 0: one for each processor."},
    {"keyd", "landlock", CHOICE, AT(landlock_optional), 0, 0, "optional required", false,
     "required",
     "Whether keyd refuses to start on a kernel without Landlock: required or optional."},
    {"keyd", "restart-delay-max-ms", NUMBER, AT(restart_delay_max_ms), 0, 60000, NULL, true, "5000",
     "A process that dies is replaced at once, then after 50 ms doubling up to this\n"
     "(a gate: up to 100 ms)."},
    {"token", "uri", TEXT, AT(token_uri), 0, 0, NULL, false, "",
     "The token, as a pkcs11: URI (RFC 7512) with module-path and pin-source.\n"
     "Empty: the SoftHSM2 token \"keyd\" in the state directory, its PIN in user.pin there.\n"
     "For keydctl pin-change the PIN's file lies in a folder that keyd may write to."},
    {"token", "signer-timeout-ms", NUMBER, AT(signer_timeout_ms), 50, 60000, NULL, true, "1000",
     "A signer that works longer than this on one signature is killed and replaced."},
    {"sockets", "run-dir", PATH, AT(run_dir), 0, 0, NULL, false, "",
     "Where frontend/keyd.sock and control/control.sock are made.\n"
     "Empty: /run/keyd, or run/ in a state directory that is not the default."},
    {"sockets", "frontend-group", TEXT, AT(frontend_group), 0, 0, NULL, false, "",
     "Group that may ask for signatures on keyd.sock. Empty: keyd's own."},
    {"sockets", "control-group", TEXT, AT(control_group), 0, 0, NULL, false, "",
     "Group that may manage keyd on control.sock. Empty: keyd's own."},
    {"tls", "listen-signing", TEXT, AT(tls_listen[SOCKET_FRONTEND]), 0, 0, NULL, false, "",
     "Address and port where frontends on other machines are served, over TLS 1.3:\n"
     "127.0.0.1:7443, [::1]:7443. What keyd.sock serves. Empty: nowhere."},
    {"tls", "listen-control", TEXT, AT(tls_listen[SOCKET_CONTROL_PLANE]), 0, 0, NULL, false, "",
     "The like for management: what control.sock serves."},
    {"tls", "certificate", PATH, AT(tls_files[TLS_CERTIFICATE]), 0, 0, NULL, true, "",
     "The listeners' certificate, and those between it and its authority, in PEM.\n"
     "These files are read as keyd's user, at the start and at SIGHUP."},
    {"tls", "key", PATH, AT(tls_files[TLS_KEY]), 0, 0, NULL, true, "",
     "Its private key, an ordinary PEM file without passphrase that no other user can read."},
    {"tls", "ca", PATH, AT(tls_files[TLS_CA]), 0, 0, NULL, true, "",
     "The authorities whose client certificates are believed, in PEM, and no others. A client\n"
     "without a certificate needs an API token."},
    {"tls", "crl", PATH, AT(tls_files[TLS_CRL]), 0, 0, NULL, true, "",
     "Certificates that they have revoked (CRLs, PEM), one list for each authority in ca that\n"
     "issues client certificates: without a list that is in date its clients are refused.\n"
     "Empty: nothing is revoked."},
    {"tls", "deny", PATH, AT(tls_files[TLS_DENY]), 0, 0, NULL, true, "",
     "A list of who is refused, whatever it proves: on each line a principal's name, the URI\n"
     "of a client certificate, or the SHA-256 of its public key in hex; # begins a comment.\n"
     "SIGHUP cuts the connections of those who came onto it. Empty: nobody."},
    {"tls", "handshakes", NUMBER, AT(handshakes), 1, 100000, NULL, true, "256",
     "Connections over TLS that have not said their hello; the oldest makes way for a new one."},
    {"limits", "connections", NUMBER, AT(connections), 1, 100000, NULL, true, "1024",
     "Open connections on each socket."},
    {"limits", "in-flight", NUMBER, AT(in_flight), 1, 65536, NULL, true, "256",
     "Open requests of one connection; beyond them keyd stops reading it."},
    {"limits", "queue", NUMBER, AT(queue), 1, 1000000, NULL, true, "4096",
     "Open requests of each gate; beyond them they are refused with BUSY."},
    {"limits", "buffers-mib", NUMBER, AT(buffers_mib), 1, 65536, NULL, true, "64",
     "Memory of each gate for what connections send and have not read yet, in MiB."},
    {"limits", "default-deadline-ms", NUMBER, AT(default_deadline_ms), 1, 600000, NULL, true,
     "2000", "Deadline of a request that names none."},
    {"limits", "max-deadline-ms", NUMBER, AT(max_deadline_ms), 1, 3600000, NULL, true, "120000",
     "A longer deadline is cut to this."},
    {"limits", "principal-rate", NUMBER, AT(principal_rate), 0, 1000000, NULL, true, "0",
     "Signatures a second of one frontend, with the burst of a second; beyond them they are\n"
     "refused with BUSY. 0: no limit."},
    {"limits", "key-rate", NUMBER, AT(key_rate), 0, 1000000, NULL, true, "0",
     "The same of one key."},
    {"limits", "principal-in-flight", NUMBER, AT(principal_in_flight), 0, 1000000, NULL, true, "0",
     "Open signatures of one frontend, over all its connections. 0: no limit."},
    {"limits", "key-in-flight", NUMBER, AT(key_in_flight), 0, 1000000, NULL, true, "0",
     "The same of one key."},
};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

struct reading {
    FILE *file;
    int line, longest; /* of a line, in bytes; 0: none was too long */
    struct config *config;
    struct err *err;
    bool failed;
};

/* ---- nearest known key */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance, on the first 31 characters. */
static size_t distance(const char *a, const char *b)
{
    size_t row[32], alen = least(strlen(a), 31), blen = least(strlen(b), 31);

    for (size_t j = 0; j <= blen; j++)
        row[j] = j;
    for (size_t i = 1; i <= alen; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= blen; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            row[j] = least(change, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[blen];
}

static const struct setting *nearest(const char *section, const char *key)
{
    const struct setting *best = NULL;
    size_t best_distance = 0;

    for (size_t i = 0; i < SETTINGS; i++) {
        size_t d = 2 * distance(key, settings[i].key) + distance(section, settings[i].section);

        if (!best || d < best_distance) {
            best = &settings[i];
            best_distance = d;
        }
    }
    return best;
}

/* ---- reading */

static bool set_number(const struct setting *s, void *field, const char *value, struct err *err)
{
    char *end;

    errno = 0;
    unsigned long n = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno || n < s->min || n > s->max) {
        err_set(err, ERR_BAD_REQUEST, "%s = %.60s is not a number from %u to %u", s->key, value,
                s->min, s->max);
        return err_hint(err, "the default is %s", s->fallback);
    }
    uint32_t number = (uint32_t)n;
    memcpy(field, &number, sizeof(number));
    return true;
}

static bool set_choice(const struct setting *s, void *field, const char *value, struct err *err)
{
    size_t yes_len = strcspn(s->choice, " ");
    const char *no = s->choice + yes_len + 1;
    bool yes = strlen(value) == yes_len && strncmp(value, s->choice, yes_len) == 0;

    if (!yes && strcmp(value, no) != 0)
        return err_set(err, ERR_BAD_REQUEST, "%s = %.60s is neither %.*s nor %s", s->key, value,
                       (int)yes_len, s->choice, no);
    memcpy(field, &yes, sizeof(yes));
    return true;
}

static bool set_text(const struct setting *s, char *field, const char *value, struct err *err)
{
    if (strlen(value) >= s->size)
        return err_set(err, ERR_TOO_LARGE, "%s is longer than %zu bytes", s->key, s->size - 1);
    if (s->type == PATH && *value && *value != '/') {
        err_set(err, ERR_BAD_REQUEST, "%s = %.120s is not an absolute path", s->key, value);
        return err_hint(err, "begin it with /");
    }
    snprintf(field, s->size, "%s", value);
    return true;
}

static bool set(struct config *c, const struct setting *s, const char *value, struct err *err)
{
    char *field = (char *)c + s->offset;

    if (s->type == NUMBER)
        return set_number(s, field, value, err);
    if (s->type == CHOICE)
        return set_choice(s, field, value, err);
    return set_text(s, field, value, err);
}

static bool set_by_name(struct config *c, const char *section, const char *key, const char *value,
                        struct err *err)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        if (strcmp(settings[i].section, section) == 0 && strcmp(settings[i].key, key) == 0)
            return set(c, &settings[i], value, err);
    }
    const struct setting *near = nearest(section, key);
    err_set(err, ERR_BAD_REQUEST, "[%.40s] %.60s is no setting of keyd", section, key);
    return err_hint(err, "the nearest one is [%s] %s; all: keyd --print-config", near->section,
                    near->key);
}

/* ---- who is who */

/* A uid or gid in digits; false for a name. */
static bool plain_id(const char *text, uint32_t *ret)
{
    char *end;

    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || n >= UINT32_MAX)
        return false;
    *ret = (uint32_t)n;
    return true;
}

static bool find_id(struct rule *rule, struct err *err)
{
    if ((rule->proof == PROOF_USER || rule->proof == PROOF_UNIX_GROUP) &&
        plain_id(rule->text, &rule->id))
        return true;
    if (rule->proof == PROOF_USER) {
        const struct passwd *user = getpwnam(rule->text);

        if (!user)
            return err_set(err, ERR_BAD_REQUEST, "there is no user \"%s\"", rule->text);
        rule->id = user->pw_uid;
    } else if (rule->proof == PROOF_UNIX_GROUP) {
        const struct group *group = getgrnam(rule->text);

        if (!group)
            return err_set(err, ERR_BAD_REQUEST, "there is no group \"%s\"", rule->text);
        rule->id = group->gr_gid;
    }
    return true;
}

static bool add_rule(struct config *c, const char *name, const char *value, struct err *err)
{
    if (c->rule_count == RULES_MAX - OWN_RULES) {
        err_set(err, ERR_TOO_LARGE, "more than %d rules for principals", RULES_MAX - OWN_RULES);
        return err_hint(err, "one rule with a \"*\" stands for many certificates");
    }
    TRY(rule_parse(&c->rules[c->rule_count], name, value, err));
    TRY(find_id(&c->rules[c->rule_count], err));
    c->rule_count++;
    return true;
}

/* Root and keyd's own user can read all that keyd has: they are operators if no rule says
 * otherwise. */
static void add_own_rule(struct config *c, const char *user, uid_t uid)
{
    struct rule *rule = &c->rules[c->rule_count++];

    *rule = (struct rule){
        .principal = {.role = ROLE_OPERATOR}, .proof = PROOF_USER, .id = (uint32_t)uid};
    snprintf(rule->principal.name, sizeof(rule->principal.name), "operator");
    snprintf(rule->text, sizeof(rule->text), "%s", user);
}

static void add_own_rules(struct config *c)
{
    const struct passwd *own = geteuid() == 0 && *c->user ? getpwnam(c->user) : getpwuid(geteuid());

    add_own_rule(c, "root", 0);
    if (own && own->pw_uid != 0)
        add_own_rule(c, own->pw_name, own->pw_uid);
}

/* libinih's form: 0 makes ini_parse return the line. */
static int on_setting(void *user, const char *section, const char *key, const char *value)
{
    struct reading *r = user;

    if (r->failed)
        return 1;
    if (strcmp(section, PRINCIPALS) == 0 ? add_rule(r->config, key, value, r->err)
                                         : set_by_name(r->config, section, key, value, r->err))
        return 1;
    r->failed = true;
    return 0;
}

static void set_defaults(struct config *c)
{
    struct err ignored;

    *c = (struct config){0};
    for (size_t i = 0; i < SETTINGS; i++) {
        if (!set(c, &settings[i], settings[i].fallback, &ignored))
            abort(); /* a default that its own limits refuse */
    }
}

/* ---- what follows from the rest */

static uint32_t processors(void)
{
    cpu_set_t set_of_cpus;

    if (sched_getaffinity(0, sizeof(set_of_cpus), &set_of_cpus) != 0)
        return 1;
    int n = CPU_COUNT(&set_of_cpus);
    return n > 64 ? 64 : (uint32_t)n;
}

/* What a listener needs is there, and nothing of it without the rest. */
static bool check_tls(const struct config *c, struct err *err)
{
    bool listens = *c->tls_listen[SOCKET_FRONTEND] || *c->tls_listen[SOCKET_CONTROL_PLANE];
    struct sockaddr_storage addr;
    socklen_t len;

    for (size_t i = 0; i < SOCKETS; i++)
        if (*c->tls_listen[i])
            TRY(config_tls_address(c, i, &addr, &len, err));
    for (int i = TLS_CERTIFICATE; i <= TLS_CRL; i++) {
        bool named = *c->tls_files[i] != '\0';

        if (listens && !named && i != TLS_CRL) {
            err_set(err, ERR_BAD_REQUEST, "[tls] %s is missing", gate_tls_file((enum tls_file)i));
            return err_hint(err, "a TLS listener needs certificate, key and ca");
        }
        if (!listens && named) {
            err_set(err, ERR_BAD_REQUEST, "[tls] %s is for a listener, and none is named",
                    gate_tls_file((enum tls_file)i));
            return err_hint(err, "name one with listen-signing or listen-control");
        }
    }
    return true;
}

static bool derive(struct config *c, struct err *err)
{
    char path[SOCKET_PATH_MAX + 1];
    bool elsewhere = strcmp(c->state_dir, DEFAULT_STATE_DIR) != 0;

    if (!*c->state_dir)
        return err_set(err, ERR_BAD_REQUEST, "state-dir is empty");
    if (c->signers == 0)
        c->signers = processors();
    if (!*c->run_dir && elsewhere)
        snprintf(c->run_dir, sizeof(c->run_dir), "%.500s/run", c->state_dir);
    else if (!*c->run_dir)
        snprintf(c->run_dir, sizeof(c->run_dir), DEFAULT_RUN_DIR);
    add_own_rules(c);
    if (!*c->token_uri)
        snprintf(c->token_uri, sizeof(c->token_uri),
                 "pkcs11:token=keyd?module-path=" KEYD_SOFTHSM_MODULE
                 "&pin-source=file:%s/user.pin",
                 c->state_dir);
    TRY(config_socket_path(c, "frontend/keyd.sock", path, err));
    TRY(config_socket_path(c, "control/control.sock", path, err));
    return check_tls(c, err);
}

/* libinih's fgets. Its buffer has a fixed size, and what does not fit would be the next line; a
 * line that begins with a blank would go on with the value before it. Both would be taken for what
 * they are not. */
static char *next_line(char *line, int size, void *user)
{
    struct reading *r = user;

    if (!fgets(line, size, r->file))
        return NULL;
    r->line++;
    if ((int)strlen(line) == size - 1 && line[size - 2] != '\n' && !feof(r->file)) {
        r->longest = size - 2;
        return NULL;
    }
    size_t blanks = strspn(line, " \t");
    memmove(line, line + blanks, strlen(line + blanks) + 1);
    return line;
}

bool config_read(struct config *ret, const char *path, struct err *err)
{
    struct config c;
    struct reading r = {.file = fopen(path, "re"), .config = &c, .err = err};

    if (!r.file) {
        err_errno(err, ERR_STORAGE, errno, "cannot open %s", path);
        return err_hint(err, "name another file with --config, or make one: keyd --print-config");
    }
    set_defaults(&c);
    int line = ini_parse_stream(next_line, &r, on_setting, &r);
    fclose(r.file);
    if (r.longest && !r.failed) {
        err_set(err, ERR_TOO_LARGE, "%s line %d is longer than %d bytes", path, r.line, r.longest);
        return err_hint(err, "a token's URI needs only as many attributes as tell it from others");
    }
    if (line != 0 && !r.failed)
        return err_set(err, ERR_BAD_REQUEST,
                       "%s line %d is neither \"[section]\" nor \"key = value\"", path, line);
    if (r.failed)
        return err_prefix(err, "%s line %d", path, line);
    if (!derive(&c, err))
        return err_prefix(err, "%s", path);
    *ret = c;
    return true;
}

bool config_socket_path(const struct config *c, const char *name, char ret[SOCKET_PATH_MAX + 1],
                        struct err *err)
{
    int n = snprintf(NULL, 0, "%s/%s", c->run_dir, name);

    if (n > SOCKET_PATH_MAX) {
        err_set(err, ERR_BAD_REQUEST,
                "the socket %s/%s would have a path of %d bytes; %d are possible", c->run_dir, name,
                n, SOCKET_PATH_MAX);
        return err_hint(err, "choose a shorter run-dir or state-dir");
    }
    snprintf(ret, SOCKET_PATH_MAX + 1, "%s/%s", c->run_dir, name);
    return true;
}

static bool bad_address(const char *text, struct err *err)
{
    err_set(err, ERR_BAD_REQUEST, "[tls] \"%s\" is no address with a port", text);
    return err_hint(err, "in numbers: 127.0.0.1:7443, or [::1]:7443");
}

/* getaddrinfo(3) takes 99999 for one. */
static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits > 0 && digits <= 5 && !text[digits] && strtoul(text, NULL, 10) - 1 < 65535;
}

bool config_tls_address(const struct config *c, size_t which, struct sockaddr_storage *ret,
                        socklen_t *ret_len, struct err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    const char *text = c->tls_listen[which], *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    bool brackets = n > 2 && *text == '[' && text[n - 1] == ']';
    struct addrinfo *found;
    char host[72];

    if (n == 0 || (!brackets && memchr(text, ':', n)) || !is_port(colon + 1))
        return bad_address(text, err);
    snprintf(host, sizeof(host), "%.*s", (int)(brackets ? n - 2 : n), text + brackets);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return bad_address(text, err);
    memset(ret, 0, sizeof(*ret));
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    *ret_len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

bool config_reloadable(const struct config *old, const struct config *now, struct err *err)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *s = &settings[i];

        if (s->on_reload ||
            memcmp((const char *)old + s->offset, (const char *)now + s->offset, s->size) == 0)
            continue;
        err_set(err, ERR_CONFLICT, "[%s] %s cannot change while keyd runs", s->section, s->key);
        return err_hint(err, "restart keyd; the settings that it started with stay in force");
    }
    return true;
}

/* ---- printing */

static void print_doc(FILE *out, const char *doc)
{
    while (*doc) {
        size_t n = strcspn(doc, "\n");

        fprintf(out, "# %.*s\n", (int)n, doc);
        doc += doc[n] ? n + 1 : n;
    }
}

static const char principals_doc[] =
    "\n[" PRINCIPALS "]\n"
    "# Who is who: NAME = ROLE [tenant=T] [group=G] PROOF. The first line that fits decides; whom\n"
    "# none fits is refused. Frontends are at home on keyd.sock, all others on control.sock.\n"
    "# ROLE is operator, tenant (its own keys), frontend (signs with the keys that it was "
    "granted:\n"
    "# keydctl grants-add), agent (watches), issuer (the ACME client) or auditor (reads).\n"
    "# PROOF is user=NAME or unix-group=NAME (or a number) on a unix socket, uri=URI (the one URI "
    "in the\n"
    "# subjectAltName of a client certificate) or spki=HEX (SHA-256 of its public key).\n"
    "# A \"*\" in NAME stands for the same text as the \"*\" in its uri.\n"
    "# Root and keyd's own user are operators if no line says otherwise.\n"
    "# SIGHUP takes a change over; connections of who is somebody else then are cut.\n"
    "#   www = frontend user=www-data\n"
    "#   fe-* = frontend group=edge uri=spiffe://platform/frontend/fe-*\n"
    "#   ops = operator unix-group=keyd-admin\n"
    "#   acme = tenant tenant=acme spki=HEX\n";

static void print_limits(FILE *out, const struct setting *s)
{
    if (s->type == NUMBER)
        fprintf(out, "# From %u to %u.\n", s->min, s->max);
    if (s->on_reload)
        fprintf(out, "# SIGHUP takes a change over.\n");
}

void config_print(FILE *out)
{
    const char *section = "";

    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *s = &settings[i];

        if (strcmp(section, s->section) != 0)
            fprintf(out, "%s[%s]\n", i ? "\n" : "", s->section);
        section = s->section;
        print_doc(out, s->doc);
        print_limits(out, s);
        fprintf(out, "#%s = %s\n", s->key, s->fallback);
    }
    fputs(principals_doc, out);
}
