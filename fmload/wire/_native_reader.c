/* The native reader: a thread that receives, stamps and keeps the bytes of all connections without the interpreter.
 *
 * A Reader owns one thread, one epoll set and an eventfd on which the hub of gevent waits. A Connection takes over a
 * connected, non-blocking socket. `send` writes a request; from then on the thread reads what comes with recvmsg, notes
 * of each read (bytes so far, instant, lag), and follows the framing of HTTP/1.1 just far enough to know where the
 * response ends. Only then, at the peer's end or at an error is Python woken; `ready` tells which connections have
 * news and `take` hands over what is there. Python may take at any time (deadlines, the live view).
 *
 * Python's own parser stays the judge: what is said here to be an end is parsed again there, and whatever this file does
 * not follow at sight (interim responses, odd heads, a limit that is passed, TLS) makes the connection *told*: Python
 * is woken at each read, and decides. So a fault in the framing below costs a wake or waits for a deadline; it makes
 * no wrong record.
 *
 * Locks. Each connection has one, held while its socket is read or written and while its bytes are moved. `Reader.lists`
 * guards the list of news and that of the dead. Order: connection, then lists. Neither is held while Python code runs;
 * the thread never asks for the interpreter. A connection's memory is freed by the thread, after the round of events in
 * which it may still be named; its socket and its bytes at once.
 *
 * Fork. The thread does not live on in a child: there every operation raises, and only descriptors are closed.
 * Signals are blocked in the thread, so that Python's main thread gets them.
 *
 * Linux alone (epoll, eventfd, SO_TIMESTAMPNS). Built against the stable ABI of CPython 3.11.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES (64 * 1024)
#define READS_A_TURN 16           /* of one connection, before the others have theirs */
#define EVENTS_A_ROUND 512
#define MAX_HEAD_BYTES (64 * 1024)
#define MAX_CHUNK_LINE 4096
#define MAX_INTERIM_HEADS 100
#define MAX_LENGTH_DIGITS 18
#define MAX_SIZE_DIGITS 15
#define MAX_LAG_NS (3600 * INT64_C(1000000000))
#define NO_STAMP (-1)
#define ROOM_BYTES (512 * 1024)   /* beyond the limit of a response that are kept before the socket is left alone */
#define SO_TIMESTAMPNS_OF_LINUX 35
#define DEAD_KEPT 64              /* closed connections whose memory waits for the next event */
#define BUSY_A_SECOND 4000        /* events: from so many on the thread pauses, so that one wake serves several */
#define RATE_OVER_NS 10000000     /* how long it counts them */

/* What `take` says of a connection. */
enum { WHOLE = 1, TOLD = 2, CLOSED = 4, UNASKED = 8 };

typedef enum { IDLE, HEAD, LENGTH, SIZE, SIZE_SPACE, SIZE_EXTENSION, SIZE_END, CHUNK, CHUNK_CR, CHUNK_LF, TRAILER_START,
               TRAILER_START_LF, TRAILERS, UNTIL_CLOSE, EACH_READ, ENDED } State;

typedef struct { int64_t end, ns, lag; } Mark;

typedef struct Conn {
    pthread_mutex_t lock;
    int fd;                       /* -1 once closed */
    bool told, head_only;         /* told: of each read, whatever it is */
    bool eof, unasked, extra, paused;
    int error;                    /* errno of the read that failed */
    State state;
    /* what came and was not taken yet */
    char *data;
    size_t length, room;
    Mark *marks;
    size_t reads, marks_room;
    /* of the response under way */
    int64_t received, limit;
    int64_t body_start;           /* in bytes received */
    int64_t left;                 /* of the body, the chunk, or the digits of its size */
    int64_t line;                 /* bytes of the line or the trailers so far */
    int digits, interim;
    size_t head_start;            /* in data */
    /* of the request */
    char *unsent;
    size_t unsent_length, unsent_at;
    /* the lists */
    struct Conn *news_before, *news_after;
    bool in_news;
    struct Conn *next_dead;
    PyObject *owner;              /* the Connection; borrowed, for `close` takes it out of the news */
} Conn;

typedef struct {
    PyObject_HEAD
    pthread_t thread;
    bool runs;
    unsigned generation;
    int epoll_fd, wake_fd, order_fd;
    int64_t pause_ns;
    atomic_bool stop;
    pthread_mutex_t lists;
    Conn *first_news, *last_news;
    bool wake_due;
    Conn *dead;
    size_t dead_count;
    struct epoll_event *events;   /* the thread's own, and its buffer */
    char *buffer;
} Reader;

typedef struct {
    PyObject_HEAD
    Conn *conn;
    Reader *reader;
} Connection;

/* Counts the forks above this process: a Reader of another generation has no thread here. */
static atomic_uint fork_generation;

static void in_child(void) { atomic_fetch_add(&fork_generation, 1); }

static bool alive(const Reader *reader) {
    return reader->runs && !atomic_load(&reader->stop) && reader->generation == atomic_load(&fork_generation);
}

static int64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* ---- news and the dead ---------------------------------------------------------------------------------------- */

static void tell(Reader *reader, Conn *conn) {
    pthread_mutex_lock(&reader->lists);
    if (!conn->in_news) {
        conn->in_news = true;
        conn->news_before = reader->last_news;
        conn->news_after = NULL;
        if (reader->last_news != NULL) reader->last_news->news_after = conn; else reader->first_news = conn;
        reader->last_news = conn;
    }
    reader->wake_due = true;
    pthread_mutex_unlock(&reader->lists);
}

/* With the lock of the lists. */
static void forget_news(Reader *reader, Conn *conn) {
    if (!conn->in_news) return;
    if (conn->news_before != NULL) conn->news_before->news_after = conn->news_after;
    else reader->first_news = conn->news_after;
    if (conn->news_after != NULL) conn->news_after->news_before = conn->news_before;
    else reader->last_news = conn->news_before;
    conn->in_news = false;
    conn->news_before = conn->news_after = NULL;
}

static void signal_fd(int fd) {
    uint64_t one = 1;
    ssize_t done;
    do done = write(fd, &one, sizeof one); while (done < 0 && errno == EINTR);
}

static void free_conn(Conn *conn) {
    pthread_mutex_destroy(&conn->lock);
    free(conn->data);
    free(conn->marks);
    free(conn->unsent);
    free(conn);
}

static void bury(Reader *reader) {
    pthread_mutex_lock(&reader->lists);
    Conn *conn = reader->dead;
    reader->dead = NULL;
    reader->dead_count = 0;
    pthread_mutex_unlock(&reader->lists);
    while (conn != NULL) {
        Conn *next = conn->next_dead;
        free_conn(conn);
        conn = next;
    }
}

/* ---- framing: where the response ends ------------------------------------------------------------------------- */

static bool is_header(const char *line, size_t length, const char *name, size_t name_length) {
    return length > name_length && line[name_length] == ':' && strncasecmp(line, name, name_length) == 0;
}

static void trim(const char **at, size_t *length) {
    while (*length > 0 && (**at == ' ' || **at == '\t')) { (*at)++; (*length)--; }
    while (*length > 0 && ((*at)[*length - 1] == ' ' || (*at)[*length - 1] == '\t')) (*length)--;
}

/* The state after a head of these bytes, its line ends included but for the empty line. EACH_READ where Python must
 * look; HEAD after an interim response. */
static State after_head(Conn *conn, const char *head, size_t length) {
    if (length < 12 || memcmp(head, "HTTP/1.", 7) != 0 || (head[7] != '0' && head[7] != '1') || head[8] != ' ')
        return EACH_READ;
    int status = 0;
    for (int place = 9; place < 12; place++) {
        if (head[place] < '0' || head[place] > '9') return EACH_READ;
        status = status * 10 + (head[place] - '0');
    }
    if (status < 200)
        return status == 101 || ++conn->interim > MAX_INTERIM_HEADS ? EACH_READ : HEAD;
    bool chunked = false, sized = false;
    int64_t size = 0;
    const char *end = head + length, *line = memchr(head, '\n', length);
    while (line != NULL && ++line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        size_t size_of_line = (size_t)((next != NULL ? next : end) - line);
        if (size_of_line > 0 && line[size_of_line - 1] == '\r') size_of_line--;
        if (is_header(line, size_of_line, "transfer-encoding", 17)) {
            const char *value = line + 18;
            size_t left = size_of_line - 18;
            trim(&value, &left);
            if (chunked || left != 7 || strncasecmp(value, "chunked", 7) != 0) return EACH_READ;
            chunked = true;
        } else if (is_header(line, size_of_line, "content-length", 14)) {
            const char *value = line + 15;
            size_t left = size_of_line - 15;
            trim(&value, &left);
            if (sized || left == 0 || left > MAX_LENGTH_DIGITS) return EACH_READ;
            for (size_t place = 0; place < left; place++) {
                if (value[place] < '0' || value[place] > '9') return EACH_READ;
                size = size * 10 + (value[place] - '0');
            }
            sized = true;
        }
        line = next;
    }
    if (conn->head_only || status == 204 || status == 304) return ENDED;
    if (chunked) {
        conn->left = 0;
        conn->line = conn->digits = 0;
        return SIZE;
    }
    if (!sized) return UNTIL_CLOSE;
    if (size > conn->limit) return EACH_READ;
    conn->left = size;
    return size == 0 ? ENDED : LENGTH;
}

/* Just after the empty line that ends the head, which begins at head_start in data; NULL when it is not in yet.
 * `head_length` is then that of the head without it. Bytes before `looked` have been looked at. */
static const char *head_end(const Conn *conn, size_t looked, size_t *head_length) {
    const char *start = conn->data + conn->head_start, *end = conn->data + conn->length;
    const char *at = conn->data + (looked > conn->head_start + 3 ? looked - 3 : conn->head_start);
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        const char *after = at + 1;
        if (after < end && *after == '\r') after++;
        if (after < end && *after == '\n') {
            *head_length = (size_t)(at - start);
            return after + 1;
        }
        at++;
    }
    return NULL;
}

static int hex(char letter) {
    if (letter >= '0' && letter <= '9') return letter - '0';
    if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
    if (letter >= 'A' && letter <= 'F') return letter - 'A' + 10;
    return -1;
}

/* Follow the response through bytes that have just come: data[at] to its end. */
static void advance(Conn *conn, size_t at) {
    const size_t length = conn->length;
    const int64_t before = conn->received - (int64_t)length; /* bytes that were taken already */
    while (at < length && conn->state != EACH_READ && conn->state != ENDED) {
        const char letter = conn->data[at];
        const size_t here = length - at;
        switch (conn->state) {
        case HEAD: {
            size_t head_length, begun = length - conn->head_start;
            if (memcmp(conn->data + conn->head_start, "HTTP/1.", begun < 7 ? begun : 7) != 0) {
                conn->state = EACH_READ;
                break;
            }
            const char *end = head_end(conn, at, &head_length);
            if (end == NULL) {
                if (begun > MAX_HEAD_BYTES) conn->state = EACH_READ;
                return;
            }
            conn->state = after_head(conn, conn->data + conn->head_start, head_length);
            at = conn->head_start = (size_t)(end - conn->data);
            conn->body_start = before + (int64_t)at;
            break;
        }
        case LENGTH:
            if ((int64_t)here < conn->left) { conn->left -= (int64_t)here; return; }
            at += (size_t)conn->left;
            conn->state = ENDED;
            break;
        case UNTIL_CLOSE:
            if (conn->received - conn->body_start > conn->limit) conn->state = EACH_READ;
            return;
        case SIZE: {
            const int digit = hex(letter);
            if (digit >= 0 && conn->digits < MAX_SIZE_DIGITS) {
                conn->left = conn->left * 16 + digit;
                conn->digits++;
                at++;
                break;
            }
            if (digit >= 0 || conn->digits == 0) { conn->state = EACH_READ; break; }
            conn->line = conn->digits;
            conn->state = SIZE_SPACE;
            break;
        }
        case SIZE_SPACE:
        case SIZE_EXTENSION:
            if (++conn->line > MAX_CHUNK_LINE) { conn->state = EACH_READ; break; }
            at++;
            if (letter == '\r') conn->state = SIZE_END;
            else if (letter == '\n') conn->state = EACH_READ;
            else if (letter == ';') conn->state = SIZE_EXTENSION;
            else if (conn->state == SIZE_SPACE && letter != ' ' && letter != '\t') conn->state = EACH_READ;
            break;
        case SIZE_END:
            at++;
            if (letter != '\n') conn->state = EACH_READ;
            else if (conn->left == 0) { conn->line = 0; conn->state = TRAILER_START; }
            else if (before + (int64_t)at + conn->left - conn->body_start > conn->limit) conn->state = EACH_READ;
            else conn->state = CHUNK;
            break;
        case CHUNK:
            if ((int64_t)here < conn->left) { conn->left -= (int64_t)here; return; }
            at += (size_t)conn->left;
            conn->left = 0;
            conn->state = CHUNK_CR;
            break;
        case CHUNK_CR:
            at++;
            conn->state = letter == '\r' ? CHUNK_LF : EACH_READ;
            break;
        case CHUNK_LF:
            at++;
            conn->digits = 0;
            conn->state = letter == '\n' ? SIZE : EACH_READ;
            break;
        case TRAILER_START:
            at++;
            if (letter == '\r') conn->state = TRAILER_START_LF;
            else { conn->line = letter != '\n'; conn->left = 1; conn->state = letter == '\n' ? EACH_READ : TRAILERS; }
            break;
        case TRAILER_START_LF:
            at++;
            conn->state = letter == '\n' ? ENDED : EACH_READ;
            break;
        case TRAILERS: /* `line` counts the bytes of the line but its CR, `left` all of them */
            at++;
            if (++conn->left > MAX_HEAD_BYTES) conn->state = EACH_READ;
            else if (letter == '\n') {
                if (conn->line == 0) conn->state = ENDED;
                conn->line = 0;
            } else if (letter != '\r') conn->line++;
            break;
        default:
            return;
        }
    }
    if (conn->state == ENDED && at < length) conn->extra = true;
}

/* ---- receiving ------------------------------------------------------------------------------------------------ */

/* False when there is no memory; nothing has changed then. */
static bool keep(Conn *conn, const char *data, size_t size, int64_t ns, int64_t lag) {
    if (conn->length + size > conn->room) {
        size_t room = conn->length + size + (conn->length + size) / 2;
        if (room < 1024) room = 1024;
        char *grown = realloc(conn->data, room);
        if (grown == NULL) return false;
        conn->data = grown;
        conn->room = room;
    }
    if (conn->reads == conn->marks_room) {
        size_t room = conn->marks_room < 8 ? 8 : conn->marks_room + conn->marks_room / 2;
        Mark *grown = realloc(conn->marks, room * sizeof *grown);
        if (grown == NULL) return false;
        conn->marks = grown;
        conn->marks_room = room;
    }
    memcpy(conn->data + conn->length, data, size);
    conn->length += size;
    conn->received += (int64_t)size;
    conn->marks[conn->reads++] = (Mark){conn->received, ns, lag};
    return true;
}

/* The arrival on the monotonic clock, and how long ago that was; the instant of reading without a usable stamp. */
static int64_t arrival(struct msghdr *message, int64_t *lag) {
    const int64_t now = clock_ns(CLOCK_MONOTONIC), wall = clock_ns(CLOCK_REALTIME);
    *lag = NO_STAMP;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        struct timespec stamp;
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SO_TIMESTAMPNS_OF_LINUX ||
            part->cmsg_len != CMSG_LEN(sizeof stamp)) continue;
        memcpy(&stamp, CMSG_DATA(part), sizeof stamp);
        const int64_t ago = wall - ((int64_t)stamp.tv_sec * INT64_C(1000000000) + stamp.tv_nsec);
        if (ago >= 0 && ago <= MAX_LAG_NS) {
            *lag = ago;
            return now - ago;
        }
    }
    return now;
}

static void listen_again(Reader *reader, Conn *conn) {
    struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.ptr = conn}};
    epoll_ctl(reader->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
}

/* Read what is there. With the connection's lock. */
static void receive(Reader *reader, Conn *conn, uint32_t events, char *buffer) {
    union { struct cmsghdr align; char room[CMSG_SPACE(sizeof(struct timespec)) + 64]; } control;
    for (int turn = 0; !conn->eof && conn->error == 0 && !conn->unasked; turn++) {
        if (conn->length > (size_t)conn->limit + MAX_HEAD_BYTES + ROOM_BYTES) {
            conn->paused = true;
            tell(reader, conn);
            return;
        }
        if (turn == READS_A_TURN) {
            listen_again(reader, conn);
            return;
        }
        struct iovec place = {buffer, READ_BYTES};
        struct msghdr message = {.msg_iov = &place, .msg_iovlen = 1, .msg_control = control.room,
                                 .msg_controllen = sizeof control.room};
        const ssize_t size = recvmsg(conn->fd, &message, MSG_DONTWAIT);
        if (size < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK) return;
            conn->error = errno;
            tell(reader, conn);
            return;
        }
        if (size == 0) {
            conn->eof = true;
            tell(reader, conn);
            return;
        }
        if (conn->state == ENDED) conn->extra = true; /* bytes beyond the message: of no use */
        else if (conn->state == IDLE && !conn->told) {
            conn->unasked = true;
            tell(reader, conn);
            return;
        } else {
            int64_t lag;
            const int64_t ns = arrival(&message, &lag);
            const size_t at = conn->length;
            if (!keep(conn, buffer, (size_t)size, ns, lag)) {
                conn->error = ENOMEM;
                tell(reader, conn);
                return;
            }
            if (conn->state != IDLE && conn->state != EACH_READ) advance(conn, at);
            if (conn->state == ENDED || conn->state == EACH_READ || conn->state == IDLE) tell(reader, conn);
        }
        if (size < READ_BYTES && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) return;
    }
}

/* Write what is left of the request. An error is left to the reading, which learns why. With the connection's lock. */
static void send_rest(Conn *conn) {
    while (conn->unsent_at < conn->unsent_length) {
        const ssize_t sent = send(conn->fd, conn->unsent + conn->unsent_at, conn->unsent_length - conn->unsent_at,
                                  MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (sent < 0) break;
        conn->unsent_at += (size_t)sent;
    }
    free(conn->unsent);
    conn->unsent = NULL;
    conn->unsent_at = conn->unsent_length = 0;
}

/* One event of the set. */
static void attend(Reader *reader, struct epoll_event *event) {
    Conn *conn = event->data.ptr;
    if (conn == NULL) { /* an order: to stop, or to bury the dead */
        uint64_t orders;
        while (read(reader->order_fd, &orders, sizeof orders) < 0 && errno == EINTR) {}
        return;
    }
    pthread_mutex_lock(&conn->lock);
    if (conn->fd >= 0) {
        if ((event->events & (EPOLLOUT | EPOLLERR)) && conn->unsent != NULL) send_rest(conn);
        if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            receive(reader, conn, event->events, reader->buffer);
    }
    pthread_mutex_unlock(&conn->lock);
}

/* Whether events come so fast that a wake for each would be dear. */
typedef struct { int64_t since_ns; int events; bool busy; } Rate;

static bool is_busy(Rate *rate, int events) {
    const int64_t lasted = clock_ns(CLOCK_MONOTONIC) - rate->since_ns;
    rate->events += events;
    if (lasted >= RATE_OVER_NS) {
        rate->busy = rate->events * INT64_C(1000000000) / lasted >= BUSY_A_SECOND;
        rate->since_ns += lasted;
        rate->events = 0;
    }
    return rate->busy;
}

static void *serve(void *argument) {
    Reader *reader = argument;
    Rate rate = {0, 0, false};
    prctl(PR_SET_NAME, "fmload-reader", 0, 0, 0);
    prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
    while (!atomic_load(&reader->stop)) {
        const int count = epoll_wait(reader->epoll_fd, reader->events, EVENTS_A_ROUND, -1);
        if (count < 0 && errno != EINTR) atomic_store(&reader->stop, true);
        for (int place = 0; place < count; place++) attend(reader, &reader->events[place]);
        pthread_mutex_lock(&reader->lists);
        const bool wake = reader->wake_due, dead = reader->dead != NULL;
        reader->wake_due = false;
        pthread_mutex_unlock(&reader->lists);
        if (wake) signal_fd(reader->wake_fd);
        if (dead) bury(reader);
        if (reader->pause_ns > 0 && is_busy(&rate, count)) {
            struct timespec pause = {0, (long)reader->pause_ns};
            nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

/* ---- Connection ------------------------------------------------------------------------------------------------ */

static bool usable_here(Connection *self) {
    if (self->conn == NULL || !alive(self->reader)) {
        PyErr_SetString(PyExc_OSError, self->conn == NULL ? "the connection is closed" : "its reader is not running");
        return false;
    }
    return true;
}

static void drop_bytes(Conn *conn) {
    free(conn->data);
    free(conn->marks);
    conn->data = NULL;
    conn->marks = NULL;
    conn->length = conn->room = conn->reads = conn->marks_room = 0;
}

static PyObject *connection_send(Connection *self, PyObject *args) {
    PyObject *payload;
    char *bytes;
    Py_ssize_t size;
    int told, head_only;
    long long limit;
    if (!PyArg_ParseTuple(args, "SppL", &payload, &told, &head_only, &limit) || !usable_here(self)) return NULL;
    if (PyBytes_AsStringAndSize(payload, &bytes, &size) < 0) return NULL;
    if (limit < 0) limit = 0;
    Conn *conn = self->conn;
    int error = 0;
    pthread_mutex_lock(&conn->lock);
    if (conn->eof || conn->unasked || conn->extra || conn->error || conn->unsent != NULL || conn->state != IDLE)
        error = conn->error ? conn->error : EPIPE;
    const int64_t sent_ns = clock_ns(CLOCK_MONOTONIC);
    if (!error) {
        ssize_t sent;
        do sent = send(conn->fd, bytes, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL); while (sent < 0 && errno == EINTR);
        if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) error = errno;
        else if (sent < size) {
            const size_t done = sent < 0 ? 0 : (size_t)sent;
            conn->unsent = malloc((size_t)size - done);
            if (conn->unsent == NULL) error = ENOMEM;
            else {
                memcpy(conn->unsent, bytes + done, (size_t)size - done);
                conn->unsent_length = (size_t)size - done;
                conn->unsent_at = 0;
            }
        }
    }
    if (!error) {
        if (!conn->told) { /* else what waits belongs to the session, and the count goes on */
            drop_bytes(conn);
            conn->received = 0;
        }
        conn->limit = limit;
        conn->head_only = head_only;
        conn->interim = 0;
        conn->head_start = 0;
        conn->state = told || conn->told ? EACH_READ : HEAD;
        if (conn->unsent != NULL) send_rest(conn); /* an edge may have passed since */
    }
    pthread_mutex_unlock(&conn->lock);
    if (error) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyLong_FromLongLong(sent_ns);
}

static PyObject *connection_write(Connection *self, PyObject *payload) {
    char *bytes;
    Py_ssize_t size;
    if (!usable_here(self) || PyBytes_AsStringAndSize(payload, &bytes, &size) < 0) return NULL;
    Conn *conn = self->conn;
    pthread_mutex_lock(&conn->lock);
    const size_t waiting = conn->unsent_length - conn->unsent_at;
    char *joined = malloc(waiting + (size_t)size + 1);
    if (joined != NULL) {
        if (waiting) memcpy(joined, conn->unsent + conn->unsent_at, waiting);
        memcpy(joined + waiting, bytes, (size_t)size);
        free(conn->unsent);
        conn->unsent = joined;
        conn->unsent_length = waiting + (size_t)size;
        conn->unsent_at = 0;
        send_rest(conn);
    }
    pthread_mutex_unlock(&conn->lock);
    if (joined == NULL) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyObject *column(const Mark *marks, size_t count, size_t offset) {
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * sizeof(int64_t)));
    if (made == NULL) return NULL;
    char *to = PyBytes_AsString(made);
    for (size_t place = 0; place < count; place++)
        memcpy(to + place * sizeof(int64_t), (const char *)&marks[place] + offset, sizeof(int64_t));
    return made;
}

/* Each read by itself, where Python looks at each: (bytes, instant, lag). `before`: bytes of those that were taken. */
static PyObject *list_of_reads(const char *data, const Mark *marks, size_t reads, int64_t before) {
    PyObject *list = PyList_New((Py_ssize_t)reads);
    for (size_t place = 0; list != NULL && place < reads; place++) {
        const Mark *mark = &marks[place];
        PyObject *read = Py_BuildValue("(y#LL)", data, (Py_ssize_t)(mark->end - before), (long long)mark->ns,
                                       (long long)mark->lag);
        if (read == NULL || PyList_SetItem(list, (Py_ssize_t)place, read) < 0) {
            Py_DECREF(list);
            return NULL;
        }
        data += mark->end - before;
        before = mark->end;
    }
    return list;
}

static PyObject *connection_take(Connection *self, PyObject *unused) {
    (void)unused;
    if (!usable_here(self)) return NULL;
    Conn *conn = self->conn;
    pthread_mutex_lock(&conn->lock);
    char *data = conn->data;
    Mark *marks = conn->marks;
    const size_t length = conn->length, reads = conn->reads;
    conn->data = NULL;
    conn->marks = NULL;
    conn->length = conn->room = conn->reads = conn->marks_room = 0;
    if (conn->state == HEAD && length > 0) conn->state = EACH_READ; /* half a head is Python's now */
    const int flags = (conn->state == ENDED ? WHOLE : 0) | (conn->state == EACH_READ || conn->told ? TOLD : 0) |
                      (conn->eof || conn->error ? CLOSED : 0) | (conn->unasked ? UNASKED : 0);
    const int error = conn->error;
    const int64_t before = conn->received - (int64_t)length;
    if (conn->paused) {
        conn->paused = false;
        listen_again(self->reader, conn);
    }
    pthread_mutex_unlock(&conn->lock);
    if (flags & TOLD) {
        PyObject *list = list_of_reads(data, marks, reads, before);
        free(data);
        free(marks);
        return list == NULL ? NULL : Py_BuildValue("(NOOOii)", list, Py_None, Py_None, Py_None, flags, error);
    }
    PyObject *bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)length);
    PyObject *ends = column(marks, reads, offsetof(Mark, end));
    PyObject *instants = column(marks, reads, offsetof(Mark, ns));
    PyObject *lags = column(marks, reads, offsetof(Mark, lag));
    free(data);
    free(marks);
    if (bytes == NULL || ends == NULL || instants == NULL || lags == NULL) {
        Py_XDECREF(bytes);
        Py_XDECREF(ends);
        Py_XDECREF(instants);
        Py_XDECREF(lags);
        return NULL;
    }
    return Py_BuildValue("(NNNNii)", bytes, ends, instants, lags, flags, error);
}

static PyObject *connection_tell(Connection *self, PyObject *unused) {
    (void)unused;
    if (!usable_here(self)) return NULL;
    Conn *conn = self->conn;
    pthread_mutex_lock(&conn->lock);
    if (conn->state != IDLE) conn->state = EACH_READ;
    const bool news = conn->length > 0 || conn->eof || conn->error;
    pthread_mutex_unlock(&conn->lock);
    return PyBool_FromLong(news);
}

static PyObject *connection_usable(Connection *self, PyObject *unused) {
    (void)unused;
    if (self->conn == NULL || !alive(self->reader)) Py_RETURN_FALSE;
    Conn *conn = self->conn;
    char one;
    pthread_mutex_lock(&conn->lock);
    bool stands = conn->state == IDLE && !conn->eof && !conn->error && !conn->unasked && !conn->extra;
    if (stands) {
        const ssize_t size = recv(conn->fd, &one, 1, MSG_PEEK | MSG_DONTWAIT);
        if (size == 0) stands = false;
        else if (size > 0) stands = conn->told; /* under TLS what waits may be a session ticket */
        else stands = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    }
    pthread_mutex_unlock(&conn->lock);
    return PyBool_FromLong(stands);
}

static PyObject *connection_release(Connection *self, PyObject *unused) {
    (void)unused;
    if (self->conn == NULL || !alive(self->reader)) Py_RETURN_FALSE;
    Conn *conn = self->conn;
    pthread_mutex_lock(&conn->lock);
    const bool whole = conn->state == ENDED || conn->state == IDLE || conn->state == EACH_READ;
    const bool reusable = whole && conn->length == 0 && conn->unsent == NULL && !conn->eof && !conn->error &&
                          !conn->unasked && !conn->extra;
    if (reusable) {
        drop_bytes(conn);
        conn->received = 0;
        conn->state = IDLE;
    }
    pthread_mutex_unlock(&conn->lock);
    return PyBool_FromLong(reusable);
}

static void close_conn(Connection *self) {
    Conn *conn = self->conn;
    Reader *reader = self->reader;
    if (conn == NULL) return;
    self->conn = NULL;
    if (reader->generation != atomic_load(&fork_generation)) { /* its lock may be held by a thread that is not here */
        close(conn->fd);
        return;
    }
    pthread_mutex_lock(&conn->lock);
    epoll_ctl(reader->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
    close(conn->fd);
    conn->fd = -1;
    drop_bytes(conn);
    free(conn->unsent);
    conn->unsent = NULL;
    conn->unsent_length = conn->unsent_at = 0;
    pthread_mutex_lock(&reader->lists);
    forget_news(reader, conn);
    conn->owner = NULL;
    pthread_mutex_unlock(&reader->lists);
    pthread_mutex_unlock(&conn->lock);
    pthread_mutex_lock(&reader->lists); /* not before its own lock is given back: the thread frees what is dead */
    conn->next_dead = reader->dead;
    reader->dead = conn;
    const bool many = ++reader->dead_count == DEAD_KEPT;
    pthread_mutex_unlock(&reader->lists);
    if (many) signal_fd(reader->order_fd);
}

static PyObject *connection_close(Connection *self, PyObject *unused) {
    (void)unused;
    close_conn(self);
    Py_RETURN_NONE;
}

static void connection_dealloc(Connection *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    freefunc give_back = (freefunc)PyType_GetSlot(type, Py_tp_free);
    if (self->conn != NULL) close_conn(self);
    Py_XDECREF((PyObject *)self->reader);
    give_back(self);
    Py_DECREF((PyObject *)type);
}

static PyMethodDef connection_methods[] = {
    {"send", (PyCFunction)connection_send, METH_VARARGS,
     "send(payload, told, head, limit): write a request as far as the socket takes it, the thread the rest. Returns the "
     "instant just before the first byte. `told`: wake at each read. `limit`: bytes of a body. Raises OSError."},
    {"write", (PyCFunction)connection_write, METH_O, "write(data): more bytes after what is not sent yet."},
    {"take", (PyCFunction)connection_take, METH_NOARGS,
     "take(): (bytes, ends, instants, lags, flags, errno): what came since the last call; of each read, as int64, the "
     "bytes of the response by then, the arrival and the lag in ns. Of one that is told of each read (TOLD in flags) "
     "(reads, None, None, None, flags, errno): a list of (bytes, instant, lag)."},
    {"tell", (PyCFunction)connection_tell, METH_NOARGS, "tell(): wake at each read from now on; whether there is news."},
    {"usable", (PyCFunction)connection_usable, METH_NOARGS, "usable(): whether an idle connection still stands."},
    {"release", (PyCFunction)connection_release, METH_NOARGS,
     "release(): the response has ended; whether the connection can carry another request."},
    {"close", (PyCFunction)connection_close, METH_NOARGS, "close(): close the socket; a second time does nothing."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot connection_slots[] = {
    {Py_tp_doc, "A connection whose bytes the reader's thread receives. Made by Reader.connection."},
    {Py_tp_dealloc, connection_dealloc},
    {Py_tp_methods, connection_methods},
    {0, NULL}};

static PyType_Spec connection_spec = {"fmload.wire._native_reader.Connection", sizeof(Connection), 0,
                                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, connection_slots};

/* ---- Reader ---------------------------------------------------------------------------------------------------- */

static PyTypeObject *connection_type; /* made once, with the module, and kept */

static void stop_thread(Reader *self) {
    if (!self->runs) return;
    self->runs = false;
    if (self->generation != atomic_load(&fork_generation)) return;
    atomic_store(&self->stop, true);
    signal_fd(self->order_fd);
    Py_BEGIN_ALLOW_THREADS
    pthread_join(self->thread, NULL);
    Py_END_ALLOW_THREADS
}

static PyObject *reader_close(Reader *self, PyObject *unused) {
    (void)unused;
    stop_thread(self);
    Py_RETURN_NONE;
}

static void reader_dealloc(Reader *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    freefunc give_back = (freefunc)PyType_GetSlot(type, Py_tp_free);
    const bool here = self->generation == atomic_load(&fork_generation);
    stop_thread(self);
    if (here) bury(self);
    for (int place = 0; place < 3; place++) {
        const int fd = place == 0 ? self->epoll_fd : place == 1 ? self->wake_fd : self->order_fd;
        if (fd >= 0) close(fd);
    }
    if (here) pthread_mutex_destroy(&self->lists);
    free(self->events);
    free(self->buffer);
    give_back(self);
    Py_DECREF((PyObject *)type);
}

static int start_thread(Reader *self) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&self->thread, NULL, serve, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static PyObject *reader_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"pause_ns", NULL};
    long long pause_ns = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|L", names, &pause_ns)) return NULL;
    if (pause_ns < 0 || pause_ns > 10000000) {
        PyErr_SetString(PyExc_ValueError, "pause_ns: from 0 to 10,000,000");
        return NULL;
    }
    allocfunc make = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Reader *self = (Reader *)make(type, 0);
    if (self == NULL) return NULL;
    self->generation = atomic_load(&fork_generation);
    self->pause_ns = pause_ns;
    pthread_mutex_init(&self->lists, NULL);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->order_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event order = {EPOLLIN, {.ptr = NULL}};
    self->events = malloc(EVENTS_A_ROUND * sizeof *self->events);
    self->buffer = malloc(READ_BYTES);
    int error = 0;
    if (self->events == NULL || self->buffer == NULL) error = ENOMEM;
    else if (self->epoll_fd < 0 || self->wake_fd < 0 || self->order_fd < 0 ||
        epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, self->order_fd, &order) < 0) error = errno;
    else error = start_thread(self);
    if (error) {
        Py_DECREF((PyObject *)self);
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    self->runs = true;
    return (PyObject *)self;
}

static PyObject *reader_connection(Reader *self, PyObject *args) {
    int fd, stamps, told;
    if (!PyArg_ParseTuple(args, "ipp", &fd, &stamps, &told)) return NULL;
    if (!alive(self)) {
        PyErr_SetString(PyExc_OSError, "the reader is not running");
        return NULL;
    }
    allocfunc make = (allocfunc)PyType_GetSlot(connection_type, Py_tp_alloc);
    Connection *made = (Connection *)make(connection_type, 0);
    Conn *conn = calloc(1, sizeof *conn);
    if (made == NULL || conn == NULL) {
        free(conn);
        Py_XDECREF((PyObject *)made);
        return PyErr_NoMemory();
    }
    pthread_mutex_init(&conn->lock, NULL);
    conn->fd = fd;
    conn->told = told;
    conn->owner = (PyObject *)made;
    int one = 1;
    if (stamps) setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS_OF_LINUX, &one, sizeof one);
    struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.ptr = conn}};
    if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        const int error = errno;
        free_conn(conn);
        Py_DECREF((PyObject *)made);
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_INCREF((PyObject *)self);
    made->reader = self;
    made->conn = conn;
    return (PyObject *)made;
}

static PyObject *reader_ready(Reader *self, PyObject *unused) {
    (void)unused;
    PyObject *found = PyList_New(0);
    if (found == NULL || !alive(self)) return found;
    uint64_t wakes;
    if (read(self->wake_fd, &wakes, sizeof wakes) < 0) wakes = 0;
    for (;;) {
        pthread_mutex_lock(&self->lists);
        Conn *conn = self->first_news;
        PyObject *owner = NULL;
        if (conn != NULL) {
            forget_news(self, conn);
            owner = conn->owner;
            Py_XINCREF(owner);
        }
        pthread_mutex_unlock(&self->lists);
        if (conn == NULL) return found;
        const int failed = PyList_Append(found, owner);
        Py_DECREF(owner);
        if (failed < 0) {
            Py_DECREF(found);
            return NULL;
        }
    }
}

static PyObject *reader_fileno(Reader *self, PyObject *unused) {
    (void)unused;
    return PyLong_FromLong(self->wake_fd);
}

static PyObject *reader_runs(Reader *self, PyObject *unused) {
    (void)unused;
    return PyBool_FromLong(alive(self));
}

static PyMethodDef reader_methods[] = {
    {"connection", (PyCFunction)reader_connection, METH_VARARGS,
     "connection(fd, stamps, told): take over a connected, non-blocking socket. `stamps`: by the kernel. `told`: wake at "
     "each read. Raises OSError, and leaves the descriptor to the caller then."},
    {"ready", (PyCFunction)reader_ready, METH_NOARGS, "ready(): the connections with news since the last call."},
    {"fileno", (PyCFunction)reader_fileno, METH_NOARGS, "fileno(): readable when there is news."},
    {"runs", (PyCFunction)reader_runs, METH_NOARGS, "runs(): whether its thread is in this process; not after a fork."},
    {"close", (PyCFunction)reader_close, METH_NOARGS, "close(): end the thread. What is open can only be closed then."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, "Reader(pause_ns=0): a thread that receives for its connections. `pause_ns`: how long it waits after a "
                "round with several events, so that one wake serves more; the stamps are the kernel's. Raises OSError."},
    {Py_tp_new, reader_new},
    {Py_tp_dealloc, reader_dealloc},
    {Py_tp_methods, reader_methods},
    {0, NULL}};

static PyType_Spec reader_spec = {"fmload.wire._native_reader.Reader", sizeof(Reader), 0, Py_TPFLAGS_DEFAULT, reader_slots};

/* ---- a body without its chunks: what framing.py does, for it ---------------------------------------------------- */

/* Where the data of the chunk whose size begins at `at` begins, and the size; 0 where there is no whole line of one. */
static size_t chunk_line(const char *raw, size_t length, size_t at, int64_t *size) {
    int digits = 0, digit;
    *size = 0;
    while (at < length && digits < MAX_SIZE_DIGITS && (digit = hex(raw[at])) >= 0) {
        *size = *size * 16 + digit;
        digits++;
        at++;
    }
    if (digits == 0) return 0;
    while (at < length && (raw[at] == ' ' || raw[at] == '\t')) at++;
    if (at < length && raw[at] == ';')
        while (at < length && raw[at] != '\r' && raw[at] != '\n') at++;
    return at + 1 < length && raw[at] == '\r' && raw[at + 1] == '\n' ? at + 2 : 0;
}

/* Room for one more of both; false where there is no memory. */
static bool room_for_spans(int64_t **starts, int64_t **ends, size_t count, size_t *room) {
    if (count < *room) return true;
    const size_t more = *room == 0 ? 64 : *room * 2;
    int64_t *grown = realloc(*starts, more * sizeof **starts);
    if (grown == NULL) return false;
    *starts = grown;
    grown = realloc(*ends, more * sizeof **ends);
    if (grown == NULL) return false;
    *ends = grown;
    *room = more;
    return true;
}

static PyObject *whole_chunks(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer raw;
    Py_ssize_t position;
    long long furthest;
    if (!PyArg_ParseTuple(args, "y*nL", &raw, &position, &furthest)) return NULL;
    const char *data = raw.buf;
    const size_t length = (size_t)raw.len;
    int64_t *starts = NULL, *ends = NULL, size;
    size_t count = 0, room = 0, at = position < 0 ? length : (size_t)position, begun;
    bool memory = true;
    while (at < length && (begun = chunk_line(data, length, at, &size)) != 0 && size > 0) {
        if (size > (int64_t)(length - begun) - 2) break;
        const size_t end = begun + (size_t)size;
        if ((int64_t)end > furthest || data[end] != '\r' || data[end + 1] != '\n') break;
        memory = room_for_spans(&starts, &ends, count, &room);
        if (!memory) break;
        starts[count] = (int64_t)begun;
        ends[count++] = (int64_t)end;
        at = end + 2;
    }
    PyBuffer_Release(&raw);
    PyObject *found = memory ? Py_BuildValue("(y#y#n)", count ? (char *)starts : "", (Py_ssize_t)(count * sizeof *starts),
                                             count ? (char *)ends : "", (Py_ssize_t)(count * sizeof *ends),
                                             position < 0 ? position : (Py_ssize_t)at) : PyErr_NoMemory();
    free(starts);
    free(ends);
    return found;
}

/* The bytes of all spans; -1 where they do not ascend within the raw bytes. */
static int64_t body_size(const int64_t *starts, const int64_t *ends, size_t count, int64_t length) {
    int64_t size = 0, before = 0;
    for (size_t place = 0; place < count; place++) {
        if (starts[place] < before || ends[place] < starts[place] || ends[place] > length) return -1;
        size += ends[place] - starts[place];
        before = ends[place];
    }
    return size;
}

/* The body in `to`; of each read that ended at so many raw bytes, how long the body was by then, in `lengths`. */
static void join_spans(const char *raw, const int64_t *starts, const int64_t *ends, size_t count, const int64_t *reads,
                       size_t read_count, char *to, int64_t *lengths) {
    for (size_t place = 0; place < count; place++) {
        const size_t size = (size_t)(ends[place] - starts[place]);
        memcpy(to, raw + starts[place], size);
        to += size;
    }
    int64_t before = 0;
    size_t span = 0;
    for (size_t place = 0; place < read_count; place++) {
        while (span < count && ends[span] <= reads[place]) {
            before += ends[span] - starts[span];
            span++;
        }
        const bool inside = span < count && reads[place] > starts[span];
        lengths[place] = inside ? before + reads[place] - starts[span] : before;
    }
}

static PyObject *joined(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer raw, starts, ends, reads;
    if (!PyArg_ParseTuple(args, "y*y*y*y*", &raw, &starts, &ends, &reads)) return NULL;
    const size_t count = (size_t)starts.len / sizeof(int64_t), read_count = (size_t)reads.len / sizeof(int64_t);
    const int64_t size = starts.len == ends.len ? body_size(starts.buf, ends.buf, count, raw.len) : -1;
    PyObject *body = NULL, *lengths = NULL;
    if (size < 0) PyErr_SetString(PyExc_ValueError, "spans that do not ascend within the bytes");
    else {
        body = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
        lengths = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(read_count * sizeof(int64_t)));
    }
    if (body != NULL && lengths != NULL)
        join_spans(raw.buf, starts.buf, ends.buf, count, reads.buf, read_count, PyBytes_AsString(body),
                   (int64_t *)(void *)PyBytes_AsString(lengths));
    PyBuffer_Release(&raw);
    PyBuffer_Release(&starts);
    PyBuffer_Release(&ends);
    PyBuffer_Release(&reads);
    if (body != NULL && lengths != NULL) return Py_BuildValue("(NN)", body, lengths);
    Py_XDECREF(body);
    Py_XDECREF(lengths);
    return NULL;
}

static PyMethodDef functions[] = {
    {"whole_chunks", whole_chunks, METH_VARARGS,
     "whole_chunks(raw, position, furthest): (starts, ends, position) of the chunks that are whole from a position on, as "
     "int64, up to the first that is not, is the last, or ends beyond `furthest`; and where that one begins."},
    {"joined", joined, METH_VARARGS,
     "joined(raw, starts, ends, reads): (body, lengths): the bytes of the spans; and how many of them were in by so many "
     "raw bytes (ascending), as int64. Raises ValueError for spans that do not ascend within the bytes."},
    {NULL, NULL, 0, NULL}};

/* ---- the module ------------------------------------------------------------------------------------------------ */

static int fill_in(PyObject *module) {
    static bool minds_forks;
    if (!minds_forks) {
        if (pthread_atfork(NULL, NULL, in_child) != 0) {
            PyErr_NoMemory();
            return -1;
        }
        minds_forks = true;
    }
    if (connection_type == NULL) connection_type = (PyTypeObject *)PyType_FromSpec(&connection_spec);
    PyObject *reader_type = PyType_FromSpec(&reader_spec);
    if (connection_type == NULL || reader_type == NULL) return -1;
    if (PyModule_AddType(module, (PyTypeObject *)reader_type) < 0 || PyModule_AddType(module, connection_type) < 0)
        return -1;
    Py_DECREF(reader_type);
    return PyModule_AddIntConstant(module, "WHOLE", WHOLE) || PyModule_AddIntConstant(module, "TOLD", TOLD) ||
           PyModule_AddIntConstant(module, "CLOSED", CLOSED) || PyModule_AddIntConstant(module, "UNASKED", UNASKED)
           ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_in}, {0, NULL}};

static PyModuleDef module_def = {PyModuleDef_HEAD_INIT, "_native_reader",
                                 "Receives, stamps and keeps the bytes of connections in a thread of its own.", 0, functions,
                                 module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native_reader(void) { return PyModuleDef_Init(&module_def); }
