/* An SMTP server that takes everything and keeps nothing, fast enough not to be the limit.
 *
 *     sink PORT [DELAY]
 *
 * One thread, one epoll. It listens on 127.0.0.1 only. Each answer is held back for DELAY
 * microseconds, which stand in for the round trip to a server far away. At SIGTERM it prints how
 * many messages and bytes it took, and how often a client broke the protocol.
 *
 * A content is searched for its end and passed over; Debian's smtp-sink looks at every byte, which
 * makes it slower than a good sender.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 18, ANSWERS = 1 << 12, EVENTS = 256 };
enum state { COMMAND, CONTENT, LEAVING };

static const char HELLO[] =
    "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 SIZE 50000000\r\n";
static const char END[] = "\r\n.\r\n";

struct session {
    int socket;
    enum state state;
    int sender, recipient;      /* of the open transaction: are they known? */
    size_t length, answered;    /* of what is in the two buffers */
    char answers[ANSWERS];
    char room[ROOM];
};

/* An answer held back. They leave in the order in which they came, since all wait equally long. */
struct held {
    struct held *next;
    struct session *session;
    long due;
    size_t length;
    char text[];
};

static struct held *first, **last = &first;
static unsigned long messages, bytes, faults;
static volatile sig_atomic_t stopping;
static long delay;

static void stop(int number) { (void)number; stopping = 1; }

static long clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

static void answer(struct session *s, const char *text)
{
    size_t length = strlen(text);
    if (s->answered + length > ANSWERS) { faults++; return; }
    memcpy(s->answers + s->answered, text, length);
    s->answered += length;
}

static void hold(struct session *s)
{
    struct held *h = malloc(sizeof *h + s->answered);
    if (h == NULL) { perror("malloc"); exit(1); }
    *h = (struct held){ .session = s, .due = clock_now() + delay, .length = s->answered };
    memcpy(h->text, s->answers, s->answered);
    *last = h;
    last = &h->next;
}

static void send_answers(struct session *s)
{
    if (s->answered == 0) return;
    if (delay) hold(s);
    else if (write(s->socket, s->answers, s->answered) < 0) faults++;
    s->answered = 0;
}

static void release(void)
{
    long now = clock_now();
    while (first != NULL && first->due <= now) {
        struct held *h = first;
        if (h->session->socket >= 0 && write(h->session->socket, h->text, h->length) < 0) faults++;
        first = h->next;
        if (first == NULL) last = &first;
        free(h);
    }
}

static int is(const char *line, const char *verb) { return strncasecmp(line, verb, strlen(verb)) == 0; }

static void command(struct session *s, const char *line)
{
    if (is(line, "MAIL FROM:")) {
        if (s->sender) faults++;
        s->sender = 1;
        answer(s, "250 2.1.0 Ok\r\n");
    } else if (is(line, "RCPT TO:")) {
        if (!s->sender) faults++;
        s->recipient = 1;
        answer(s, "250 2.1.5 Ok\r\n");
    } else if (is(line, "DATA")) {
        if (!s->recipient) { faults++; answer(s, "503 5.5.1 RCPT first\r\n"); return; }
        s->state = CONTENT;
        answer(s, "354 End data with <CR><LF>.<CR><LF>\r\n");
    } else if (is(line, "RSET")) {
        s->sender = s->recipient = 0;
        answer(s, "250 2.0.0 Ok\r\n");
    } else if (is(line, "EHLO")) answer(s, HELLO);
    else if (is(line, "HELO") || is(line, "NOOP")) answer(s, "250 Ok\r\n");
    else if (is(line, "QUIT")) { s->state = LEAVING; answer(s, "221 2.0.0 Bye\r\n"); }
    else { faults++; answer(s, "500 5.5.2 Unknown\r\n"); }
}

/* Reads what there is; what belongs to something unfinished stays in the buffer. */
static void read_all(struct session *s)
{
    size_t at = 0;
    while (at < s->length) {
        char *from = s->room + at, *end;
        size_t left = s->length - at;
        if (s->state == CONTENT) {
            end = memmem(from, left, END, sizeof END - 1);
            if (end == NULL) {      /* its end may be cut in two */
                if (left > sizeof END - 2) at = s->length - (sizeof END - 2);
                break;
            }
            at = (size_t)(end - s->room) + sizeof END - 1;
            messages++;
            s->sender = s->recipient = 0;
            s->state = COMMAND;
            answer(s, "250 2.0.0 Ok\r\n");
            continue;
        }
        end = memchr(from, '\n', left);
        if (end == NULL) break;
        *end = '\0';
        command(s, from);
        at = (size_t)(end - s->room) + 1;
        if (s->state == CONTENT) {  /* an empty content ends without a line before its dot */
            at -= 2;
            s->room[at] = '\r';
            s->room[at + 1] = '\n';
        }
    }
    memmove(s->room, s->room + at, s->length - at);
    s->length -= at;
}

static void serve(struct session *s)
{
    ssize_t got = read(s->socket, s->room + s->length, ROOM - s->length);
    if (got <= 0) {
        close(s->socket);
        s->socket = -1;             /* answers held back may still point here */
        if (!delay) free(s);
        return;
    }
    bytes += (unsigned long)got;
    s->length += (size_t)got;
    read_all(s);
    send_answers(s);
    if (s->state == LEAVING && !delay) shutdown(s->socket, SHUT_WR);
}

static void welcome(int listener, int queue)
{
    int one = 1, found = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (found < 0) return;
    setsockopt(found, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL) { perror("calloc"); exit(1); }
    s->socket = found;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };
    epoll_ctl(queue, EPOLL_CTL_ADD, found, &event);
    answer(s, "220 sink ESMTP\r\n");
    send_answers(s);
}

static int listening(int port)
{
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 1024)) {
        perror("sink");
        exit(1);
    }
    return listener;
}

int main(int count, char **arguments)
{
    if (count < 2) { fprintf(stderr, "usage: sink PORT [DELAY]\n"); return 2; }
    delay = count > 2 ? atol(arguments[2]) : 0;
    signal(SIGTERM, stop);
    signal(SIGPIPE, SIG_IGN);
    int listener = listening(atoi(arguments[1])), queue = epoll_create1(0);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL }, events[EVENTS];
    epoll_ctl(queue, EPOLL_CTL_ADD, listener, &event);
    while (!stopping) {
        long wait = first == NULL ? -1 : first->due - clock_now();
        struct timespec time = { .tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000 };
        struct timespec none = { 0, 0 };
        int ready = epoll_pwait2(queue, events, EVENTS, first == NULL ? NULL : wait > 0 ? &time : &none, NULL);
        release();
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr == NULL) welcome(listener, queue);
            else serve(events[i].data.ptr);
        }
    }
    printf("%lu messages, %lu bytes, %lu faults\n", messages, bytes, faults);
    return 0;
}
