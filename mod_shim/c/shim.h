/*
 * The border between the two halves of the module.
 *
 * The C files of this directory know httpd and no frames; the Rust files know frames and no
 * request_rec. bindgen reads this header and nothing of httpd's, so it names no type of httpd.
 *
 * Each side calls the other through tables of functions. Rust never names a C symbol, so its unit
 * tests link without httpd, and no symbol of Rust's but the module record need be visible. Each function
 * of Rust's stands behind a fence that turns a panic into its failure value.
 */
#ifndef WSGID_SHIM_H
#define WSGID_SHIM_H

#include <stddef.h>
#include <stdint.h>

/* Room for httpd's module record; c/module.c checks that it is enough. */
#define SHIM_RECORD_BYTES 256

/* Bytes that need not end in NUL; data may be NULL when length is 0. */
typedef struct {
    const char *data;
    size_t length;
} shim_text;

typedef struct {
    shim_text name;
    shim_text value;
} shim_pair;

/* What reading the client's body came to. */
typedef enum {
    SHIM_BODY_MORE = 0,  /* bytes were read, there may be more */
    SHIM_BODY_LAST = 1,  /* bytes were read (possibly none), the body is at its end */
    SHIM_BODY_FAILED = 2, /* it can't be read: *status is what the handler returns for that */
    SHIM_BODY_TORN = 3   /* the same, and nothing but the client's breaking off is the reason */
} shim_body;

/* Why a request is refused before it reaches Rust. The numbers for the log are Rust's (message.rs). */
typedef enum {
    SHIM_EXEC_CGI_OFF,
    SHIM_NO_SCRIPT,
    SHIM_DIRECTORY,
    SHIM_PATH_INFO,
    SHIM_TRANSFER_CODING,
    SHIM_CHUNKED,
    SHIM_CONTENT_LENGTH,
    SHIM_BODY_TOO_LARGE,
    SHIM_NO_CONFIGURATION
} shim_refusal;

/* httpd's scoreboard, a slot for a process, and a slot for a thread: known is 0 where there is none. Times are
 * microseconds since the epoch. */
typedef struct {
    int known;
    uint32_t server_limit;
    uint32_t thread_limit;
    uint32_t generation;
    uint64_t restart_time;
    uint64_t current_time;
} shim_scoreboard;

typedef struct {
    int known;
    uint32_t pid;
    uint32_t generation;
    int quiescing;
} shim_process;

/* Texts end in NUL. */
#define SHIM_SCORE_TEXT 80
typedef struct {
    int known;
    uint32_t number;
    uint32_t generation;
    uint32_t status;
    uint64_t access_count;
    uint64_t bytes_served;
    uint64_t start_time;
    uint64_t stop_time;
    uint64_t last_used;
    char client[SHIM_SCORE_TEXT];
    char request[SHIM_SCORE_TEXT];
    char vhost[SHIM_SCORE_TEXT];
} shim_thread;

/* What httpd's own processes and threads do. */
typedef struct {
    shim_scoreboard (*board)(void);
    shim_process (*process)(uint32_t number);
    shim_thread (*thread)(uint32_t process, uint32_t number);
} shim_scores;

/*
 * What Rust may ask of httpd while a request is in flight. `r` is shim_ask.r, opaque to Rust.
 * Functions that send return 0 when the client can no longer be reached.
 */
typedef struct {
    /* Without `wait` only what has come: nothing and SHIM_BODY_MORE if nothing has. */
    shim_body (*read_body)(void *r, int wait, char *buffer, size_t room, size_t *length, int *status);

    /* The head of the response; `reason` may be empty. Then headers, then bytes. */
    void (*set_status)(void *r, int status, shim_text reason);
    void (*add_header)(void *r, shim_text name, shim_text value);
    /* Does httpd answer in place of the application, now that the head is complete? And: let it, and
     * return what the handler returns. */
    int (*diverts)(void *r);
    int (*divert)(void *r);
    /* From now on the client may take nothing for so many seconds, in place of Apache's Timeout. */
    void (*client_timeout)(void *r, uint32_t seconds);
    /* Appends bytes without copying them: they stay valid until the next pass, finish or truncate. */
    void (*append)(void *r, const char *bytes, size_t length);
    /* Appends a part of a file. Takes the descriptor over, whatever it returns: 0 if it can't be sent. */
    int (*append_file)(void *r, int descriptor, uint64_t offset, uint64_t length);
    /* Sends what was appended, to the client itself. */
    int (*pass)(void *r);
    /* The same, and the response is whole. */
    int (*finish)(void *r);
    /* The same, and the client is made to see that the response is not whole. */
    void (*truncate)(void *r);

    /* Tells the client when to try again: for whatever error page serve's status leads to. */
    void (*retry_after)(void *r, uint32_t seconds);

    /* mod_ssl's word for it; data is NULL where it has none. `name` ends in NUL. */
    int (*is_https)(void *r);
    shim_text (*ssl_variable)(void *r, const char *name);
    const shim_scores *scores;

    /* Leaves the number of a message with the request. */
    void (*note)(void *r, shim_text number);
    /* One line for the error log of the request's virtual host; levels are syslog's. `file` and `line` are
     * where in the application it was logged; NULL where that is not known. */
    void (*log)(void *r, int level, const char *text, size_t length, const char *file, uint32_t line);

    /* Is this the address of a trusted proxy? -1 if it is no address. It ends in NUL. */
    int (*trusts)(void *r, const char *address);

    /* What %{...} values ask for. */
    shim_text (*server_name)(void *r);
    uint16_t (*port)(void *r);
    shim_text (*host)(void *r);
    shim_text (*script_name)(void *r);
    /* data is NULL when there is no such variable; `name` ends in NUL. */
    shim_text (*variable)(void *r, const char *name);
} shim_door;

/* What Rust may ask of httpd outside of requests. */
typedef struct {
    /* One line for the main error log. */
    void (*log)(int level, const char *text, size_t length);
    const shim_scores *scores;
} shim_host;

/* One request, as the configuration and httpd describe it. Valid during serve. */
typedef struct {
    void *r;
    const shim_door *door;
    const shim_pair *variables; /* in order: what comes later wins */
    size_t variable_count;
    const shim_pair *headers;
    size_t header_count;
    shim_text script;
    shim_text process_group;     /* as configured, %{...} not expanded */
    shim_text application_group;
    shim_text callable;
    shim_text handler;
    int64_t content_length;      /* -1: unknown, 0: no body */
    int64_t request_time;        /* microseconds since the epoch, here and below */
    int64_t script_written;      /* the script's mtime, 0 if httpd has not looked */
    uint32_t timeout;            /* Apache's Timeout, in seconds */
    const shim_text *allowed_groups;  /* process groups that may be used, "" the implicit one */
    size_t allowed_group_count;
    int restricts_groups;             /* no other than those may be */
    const shim_text *trusted_headers; /* of proxies, in the order of the configuration */
    size_t trusted_header_count;
    int trusted_peer;            /* the peer is a trusted proxy, or any is */
    int knows_proxies;           /* there is a list of trusted proxies */
    int pass_authorization;
    int reloading;
    int ignore_activity;
    int expand_callable;
    int restrict_embedded;
} shim_ask;

/* A function of a script that decides something before a request is served. */
typedef enum {
    SHIM_ACCESS = 1,     /* allow_access */
    SHIM_PASSWORD = 2,   /* check_password */
    SHIM_REALM_HASH = 3, /* get_realm_hash */
    SHIM_GROUPS = 4,     /* groups_for_user */
    SHIM_DISPATCH = 5    /* process_group, application_group, callable_object */
} shim_hook;

/* What it comes to. Anything but these, like SHIM_FAULT, lets nobody in. */
typedef enum {
    SHIM_FAULT = 0, /* there is no verdict; the log says why */
    SHIM_GRANTED = 1,
    SHIM_DENIED = 2,
    SHIM_UNDECIDED = 3
} shim_decision;

/* A question to a script. Valid during decide. */
typedef struct {
    const shim_ask *ask;      /* the request, with the script and the application group of the hook */
    shim_hook hook;
    const shim_text *arguments; /* of the function, beside the environ */
    size_t argument_count;
    shim_text target;         /* what the request is for, for the log */
    const shim_text *wanted;  /* SHIM_GROUPS: of these groups the user has to be in one */
    size_t wanted_count;
    int quiet;                /* a refusal need not be the last word, and is not logged */
    /*
     * Takes a text that goes along with SHIM_GRANTED, at place 0: SHIM_PASSWORD's new name of the user (if
     * there is one), SHIM_REALM_HASH's hash. SHIM_DISPATCH has the process group at 0, the application group at
     * 1, the callable at 2, where they are to be others. The text is valid during the call.
     */
    void (*take)(void *into, uint32_t place, shim_text text);
    void *into;
} shim_question;

/* A configuration while its directives are read, and what becomes of it. Opaque to C. */
typedef struct shim_draft shim_draft;
typedef struct shim_runtime shim_runtime;

/* What is known only when all directives are read. */
typedef struct {
    const char *control_socket;
    const char *instance;
    uint32_t web_uid;
    uint32_t web_gid;
    int threaded;            /* the MPM has several threads to a child */
    uint32_t version[3];     /* httpd's: major, minor, patch */
    const char *description;
    const char *mpm;
    const char *built;
    uint32_t processes;      /* the most children there may be */
    uint32_t threads;        /* of each */
} shim_facts;

/*
 * What C may ask of Rust. `message` receives a sentence that ends in NUL, cut to `room`; functions that
 * return int return 0 when there is a complaint.
 */
typedef struct {
    shim_draft *(*draft_new)(void);
    void (*draft_free)(shim_draft *draft);
    /* Declares a process group. */
    int (*draft_group)(shim_draft *draft, const char *name, const shim_pair *options, size_t count, int speak,
                       const shim_host *host, char *message, size_t room);
    /* Keeps a group for the virtual hosts of one ServerName. */
    void (*draft_bind)(shim_draft *draft, const char *name, const char *server);
    /* Is a group of that name declared so far? */
    int (*draft_knows)(const shim_draft *draft, const char *name);
    /* A script to import when the workers of that application group start; `first` if only as the first. */
    void (*draft_preload)(shim_draft *draft, const char *process_group, const char *application_group,
                          const char *script, int first);
    /* Sets an option of process groups for all that don't, or only for the implicit one. */
    int (*draft_option)(shim_draft *draft, const char *option, const char *value, int implicit_only,
                         char *message, size_t room);
    /* From here to draft_section_end, options are for these groups alone; NULL is any. */
    void (*draft_section)(shim_draft *draft, const char *process_group, const char *application_group);
    void (*draft_section_end)(shim_draft *draft);
    /* Does a value need a request to be expanded? */
    int (*is_dynamic)(const char *value);

    /* Tells the daemon. A runtime comes back also when the daemon can't be reached; NULL on a fault of
     * ours. */
    shim_runtime *(*configure)(const shim_draft *draft, const shim_facts *facts, const shim_host *host);
    /* Tells a daemon that started later, or lost its state. For the parent's maintenance. */
    void (*remind)(const shim_runtime *runtime, const shim_host *host);
    void (*runtime_free)(shim_runtime *runtime);

    /* Serves a request. Returns what the handler returns: 0 (OK) when a response was begun, else the HTTP
     * status to answer with, or what a failed read_body gave. */
    int (*serve)(const shim_runtime *runtime, const shim_ask *ask);
    /* Asks a script. What there is to tell is in the log then. */
    shim_decision (*decide)(const shim_runtime *runtime, const shim_question *question);
    /* Tells why a request is not served; returns what the handler returns. */
    int (*refuse)(void *r, const shim_door *door, shim_refusal why, const char *words);
    /* The child ends. */
    void (*leave)(const shim_runtime *runtime);
} shim_functions;

/*
 * The one symbol that the module exports, `wsgi_module`: httpd sees a module record, c/rust.c sees the
 * functions behind it. It is Rust's, since rustc lets a cdylib export Rust's symbols only.
 */
typedef struct {
    uint64_t record[SHIM_RECORD_BYTES / 8];
    const shim_functions *functions;
} shim_exported;

#endif
