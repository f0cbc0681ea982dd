/* The load of the server benchmarks: many WebSocket connections of one thread.
 *
 *     load PORT SEED
 *
 * Reads a command per line and answers each with a line of JSON. Between commands it goes on reading
 * what the server sends. Every answer has "seconds", "cpu" (its own CPU seconds), "replies" and
 * "refused"; times are in microseconds, those of commands that were refused left out.
 *
 *     open COUNT PATH FRAMES   connect all at once; done once each has FRAMES frames. PATH with
 *                              feed=none makes traders, any other readers
 *     flow LIVE TAKES MARKETS FIRST
 *                              from the trader FIRST on each holds some LIVE orders; TAKES of 1,000
 *                              commands are market orders for two; MARKETS securities S0, S1, ...
 *     fill                     place what the traders lack of their LIVE orders
 *     run SECONDS DEPTH        closed loop: DEPTH commands of each trader are unanswered; ends when
 *                              all are answered
 *     rate SECONDS RATE        open loop: RATE commands per second of all; waiting time counts from
 *                              the moment at which a command was due, sent late or not
 *     fan SECONDS BURST        the first trader makes BURST trades; once every reader has them, again
 *     stall COUNT              the first COUNT readers read no more
 *     beside TEXT              the last trader sends TEXT, which has "ref":"big"; until half a
 *                              second after its reply the first trader pings, one at a time
 *
 * A flow keeps the depth of the book: orders are placed on both sides at random prices that never
 * meet, and random ones of them are deleted by the client's id.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 1024, CHUNK = 1 << 16, STAMPS = 1 << 14, SIDE_PRICES = 5000, LINE = 4096 };
#define NO_SLOT UINT32_MAX
enum { STDIN_KEY = UINT32_MAX, TIMER_KEY = UINT32_MAX - 1 };
#define SECOND 1000000000ull
#define TICK 1000000ull /* an open loop sends what is due this often: what leaves together costs less */

typedef struct {
    uint8_t* bytes;
    size_t start, end, room;
} Buffer;

typedef struct {
    int fd;
    bool upgraded, reads_market, writes_blocked;
    Buffer in, out;
    uint64_t frames, trades;
    uint64_t sent, answered;   /* commands; the ref of one is its number */
    uint64_t* due;             /* when the commands that are unanswered were due, by ref % STAMPS */
    uint32_t* placed;          /* the slots of those that are orders, else NO_SLOT; likewise */
    uint32_t *slots, *free;    /* client order ids are "s<slot>g<generation>" */
    uint32_t *generations, slot_count, live; /* slots[0..live) hold orders, places[slot] says where */
    uint32_t* places;
} Connection;

static struct {
    Connection* all;
    uint32_t count, traders, readers, stalled;
    uint32_t *trader, *reader;
} net;
static struct {
    uint32_t live, takes, markets;
} flow = {100, 0, 1};
static struct {
    uint64_t *waits, count, room, refused, replies;
    bool on;
} measured;
static uint32_t depth;        /* closed loop: commands in flight of each trader; 0: none */
static uint64_t complete;     /* readers that have every trade of the burst */
static uint64_t burst_trades; /* how many trades each reader should have by now */
static bool big_answered, pinging;
static int epoll, timer, port;
static uint64_t random_state;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static double cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static uint32_t below(uint32_t bound) {
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((random_state >> 33) * bound >> 31);
}

static void fail(const char* what) {
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static void* grown(void* old, size_t bytes) {
    void* got = realloc(old, bytes);
    if (!got) fail("no memory");
    return got;
}

static uint8_t* room_in(Buffer* b, size_t bytes) {
    if (b->start == b->end) b->start = b->end = 0;
    if (b->room - b->end < bytes && b->start) {
        memmove(b->bytes, b->bytes + b->start, b->end - b->start);
        b->end -= b->start;
        b->start = 0;
    }
    if (b->room - b->end < bytes) {
        b->room = 2 * b->room + bytes;
        b->bytes = grown(b->bytes, b->room);
    }
    return b->bytes + b->end;
}

/* ---- sending ---------------------------------------------------------------------------------- */

static void watch(Connection* c, uint32_t key, bool writes) {
    struct epoll_event e = {.events = EPOLLIN | (writes ? EPOLLOUT : 0), .data.u32 = key};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e)) fail("epoll");
    c->writes_blocked = writes;
}

static void flush(Connection* c) {
    uint32_t key = (uint32_t)(c - net.all);
    while (c->out.start < c->out.end) {
        ssize_t sent = send(c->fd, c->out.bytes + c->out.start, c->out.end - c->out.start, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            if (!c->writes_blocked) watch(c, key, true);
            return;
        }
        if (sent < 0) fail("the server has gone");
        c->out.start += (size_t)sent;
    }
    if (c->writes_blocked) watch(c, key, false);
}

static void frame(Connection* c, int op, const char* text, size_t length) {
    uint8_t* to = room_in(&c->out, length + 8);
    size_t head = 0;
    const uint32_t word = (uint32_t)random_state | 1;
    uint8_t key[4];
    memcpy(key, &word, 4);
    to[head++] = (uint8_t)(0x80 | op);
    if (length < 126) {
        to[head++] = (uint8_t)(0x80 | length);
    } else {
        to[head++] = 0x80 | 126;
        to[head++] = (uint8_t)(length >> 8);
        to[head++] = (uint8_t)length;
    }
    memcpy(to + head, key, 4);
    head += 4;
    for (size_t i = 0; i < length; i++) to[head + i] = (uint8_t)text[i] ^ key[i & 3];
    c->out.end += head + length;
}

static void numbered(Connection* c, const char* text, int length, uint64_t due) {
    c->placed[c->sent % STAMPS] = NO_SLOT;
    c->due[c->sent++ % STAMPS] = due;
    frame(c, 1, text, (size_t)length);
}

static int an_order(char* to, uint32_t market, bool ask, const char* kind, const char* amount) {
    return sprintf(to, "\"order\":{\"security\":\"S%u\",\"type\":\"%s\",\"execType\":\"%s\",\"amount\":%s",
                   market, ask ? "ask" : "bid", kind, amount);
}

static void place(Connection* c, uint64_t due) {
    char text[512];
    uint32_t slot = c->free[c->slot_count - 1 - c->live];
    bool ask = below(2);
    uint32_t cents = (ask ? 10000 + below(SIDE_PRICES) : 9999 - below(SIDE_PRICES));
    int n = sprintf(text, "{\"op\":\"add\",\"ref\":%lu,", c->sent);
    n += an_order(text + n, slot % flow.markets, ask, "limit", "1.5");
    n += sprintf(text + n, ",\"price\":%u.%02u,\"clientOrderId\":\"s%ug%u\"}}", cents / 100, cents % 100,
                 slot, ++c->generations[slot]);
    c->places[slot] = c->live;
    c->slots[c->live++] = slot;
    numbered(c, text, n, due);
    c->placed[(c->sent - 1) % STAMPS] = slot;
}

static bool holds(const Connection* c, uint32_t slot) {
    return slot < c->slot_count && c->places[slot] < c->live && c->slots[c->places[slot]] == slot;
}

static void leave(Connection* c, uint32_t slot) {
    uint32_t place = c->places[slot], last = c->slots[--c->live];
    c->slots[place] = last;
    c->places[last] = place;
    c->free[c->slot_count - 1 - c->live] = slot;
}

static void take_away(Connection* c, uint64_t due) {
    char text[128];
    uint32_t slot = c->slots[below(c->live)];
    int n = sprintf(text, "{\"op\":\"delete\",\"ref\":%lu,\"clientOrderId\":\"s%ug%u\"}", c->sent, slot,
                    c->generations[slot]);
    leave(c, slot);
    numbered(c, text, n, due);
}

static void trade(Connection* c, uint64_t due) {
    char text[256];
    int n = sprintf(text, "{\"op\":\"add\",\"ref\":%lu,", c->sent);
    n += an_order(text + n, below(flow.markets), below(2), "market", "3.0");
    n += sprintf(text + n, "}}");
    numbered(c, text, n, due);
}

static void next_command(Connection* c, uint64_t due) {
    double lacking = ((double)flow.live - c->live) / flow.live;
    if (below(1000) < flow.takes)
        trade(c, due);
    else if (!c->live || (c->live < c->slot_count && below(1000) < 500 + 1000 * lacking))
        place(c, due);
    else
        take_away(c, due);
}

static void next_burst(Connection* c, uint32_t size) {
    char text[CHUNK];
    int n = 0;
    for (uint32_t i = 0; i < 2 * size; i++) {
        n += sprintf(text + n, "%c{\"op\":\"add\",\"ref\":\"b\",", i ? ',' : '[');
        n += an_order(text + n, 0, !(i & 1), "limit", "1.5");
        n += sprintf(text + n, ",\"price\":100.0}}");
    }
    frame(c, 1, text, (size_t)sprintf(text + n, "]") + (size_t)n);
    flush(c);
    burst_trades += size;
    complete = 0;
}

static void ping(Connection* c) {
    char text[64];
    int n = sprintf(text, "{\"op\":\"ping\",\"ref\":%lu}", c->sent);
    numbered(c, text, n, now());
}

/* ---- receiving -------------------------------------------------------------------------------- */

static const char* found(const uint8_t* text, size_t length, const char* what) {
    const char* at = memmem(text, length, what, strlen(what));
    return at ? at + strlen(what) : NULL;
}

static void waited(uint64_t ns) {
    if (measured.count == measured.room) {
        measured.room = 2 * measured.room + 1024;
        measured.waits = grown(measured.waits, measured.room * sizeof *measured.waits);
    }
    measured.waits[measured.count++] = ns;
}

/* An order that has ended leaves its slot, unless a later one is there. */
static void gone(Connection* c, const uint8_t* text, size_t length) {
    const char* id = found(text, length, "\"clientOrderId\":\"s");
    char* rest;
    if (!id) return;
    uint32_t slot = (uint32_t)strtoul(id, &rest, 10);
    uint32_t generation = (uint32_t)strtoul(rest + 1, NULL, 10);
    if (holds(c, slot) && c->generations[slot] == generation) leave(c, slot);
}

static void replied(Connection* c, const char* ref, const uint8_t* text, size_t length) {
    if (*ref == '"') {
        if (!strncmp(ref, "\"big\"", 5)) big_answered = true;
        return;
    }
    uint64_t number = strtoull(ref, NULL, 10), t = now();
    c->answered++;
    measured.replies++;
    if (found(text, length, "\"code\":")) {
        const uint32_t slot = c->placed[number % STAMPS];
        if (holds(c, slot)) leave(c, slot);
        measured.refused++;
    } else if (measured.on) {
        waited(t - c->due[number % STAMPS]);
    }
    if (pinging)
        ping(c);
    else if (depth)
        next_command(c, t);
}

static void on_text(Connection* c, const uint8_t* text, size_t length) {
    c->frames++;
    if (c->reads_market) {
        if (!found(text, length < 40 ? length : 40, "\"event\":\"trades\"")) return;
        bool had_all = c->trades >= burst_trades;
        const uint8_t *at = text, *end = text + length;
        for (const char* next; (next = found(at, (size_t)(end - at), "\"total\":")); at = (uint8_t*)next)
            c->trades++;
        if (!had_all && c->trades >= burst_trades) complete++;
        return;
    }
    const char* ref = found(text, length < 60 ? length : 60, "\"ref\":");
    const char* status = found(text, length < 80 ? length : 80, "\"status\":\"");
    if (status && (*status == 'f' || *status == 'c')) gone(c, text, length); /* filled, cancelled */
    if (ref) replied(c, ref, text, length);
}

static void on_frame(Connection* c, int op, const uint8_t* text, size_t length) {
    if (op == 1) {
        on_text(c, text, length);
    } else if (op == 9) {
        frame(c, 10, (const char*)text, length);
    } else if (op == 8) {
        errno = 0;
        fprintf(stderr, "load: closed with %d\n", length >= 2 ? text[0] << 8 | text[1] : 0);
        exit(1);
    }
}

static void frames_of(Connection* c) {
    for (;;) {
        uint8_t* at = c->in.bytes + c->in.start;
        size_t length, head = 2, has = c->in.end - c->in.start;
        if (has < 2) return;
        length = at[1] & 127;
        if (length >= 126) {
            size_t digits = length == 126 ? 2 : 8;
            if (has < head + digits) return;
            for (length = 0; digits--;) length = length << 8 | at[head++];
        }
        if (has < head + length) return;
        c->in.start += head + length;
        on_frame(c, at[0] & 15, at + head, length);
    }
}

static void receive(Connection* c) {
    ssize_t got = recv(c->fd, room_in(&c->in, CHUNK), CHUNK, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) fail("the server has gone");
    c->in.end += (size_t)got;
    if (!c->upgraded) {
        uint8_t* head = c->in.bytes + c->in.start;
        uint8_t* end = memmem(head, c->in.end - c->in.start, "\r\n\r\n", 4);
        if (!end) return;
        if (!memmem(head, (size_t)(end - head), " 101 ", 5)) fail("the server refused a handshake");
        c->in.start += (size_t)(end - head) + 4;
        c->upgraded = true;
    }
    frames_of(c);
    flush(c);
}

/* Wait for sockets, the timer or a command; return whether there is a command. */
static bool turn(int timeout_ms) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll, events, EVENTS, timeout_ms);
    bool command = false;
    for (int i = 0; i < count; i++) {
        uint32_t key = events[i].data.u32;
        if (key == STDIN_KEY) {
            command = true;
        } else if (key == TIMER_KEY) {
            uint64_t times;
            if (read(timer, &times, sizeof times) < 0 && errno != EAGAIN) fail("timer");
        } else {
            if (events[i].events & EPOLLOUT) flush(&net.all[key]);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(&net.all[key]);
        }
    }
    return command;
}

/* ---- commands --------------------------------------------------------------------------------- */

static void connect_one(Connection* c, const char* path) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int yes = 1;
    char text[512];
    memset(c, 0, sizeof *c);
    c->reads_market = !strstr(path, "feed=none");
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr*)&address, sizeof address)) fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)(c - net.all)};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e)) fail("epoll");
    int n = sprintf(text,
                    "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                    path, port);
    memcpy(room_in(&c->out, (size_t)n), text, (size_t)n);
    c->out.end += (size_t)n;
    if (!c->reads_market) {
        c->due = grown(NULL, STAMPS * sizeof *c->due);
        c->placed = grown(NULL, STAMPS * sizeof *c->placed);
    }
    flush(c);
}

static void open_all(uint32_t count, const char* path, uint64_t frames) {
    uint32_t first = net.count;
    net.count += count;
    net.all = grown(net.all, net.count * sizeof *net.all);
    net.trader = grown(net.trader, net.count * sizeof *net.trader);
    net.reader = grown(net.reader, net.count * sizeof *net.reader);
    for (uint32_t i = first; i < net.count; i++) {
        connect_one(&net.all[i], path);
        if (net.all[i].reads_market)
            net.reader[net.readers++] = i;
        else
            net.trader[net.traders++] = i;
    }
    for (uint32_t i = first; i < net.count;) {
        if (net.all[i].upgraded && net.all[i].frames >= frames)
            i++;
        else
            turn(-1);
    }
    for (uint32_t i = 0; i < net.readers; i++) net.all[net.reader[i]].trades = burst_trades;
}

static void set_flow(uint32_t live, uint32_t takes, uint32_t markets, uint32_t first) {
    flow.live = live;
    flow.takes = takes;
    flow.markets = markets;
    for (uint32_t i = first; i < net.traders; i++) {
        Connection* c = &net.all[net.trader[i]];
        c->slot_count = 2 * live + 16;
        c->slots = grown(NULL, c->slot_count * sizeof *c->slots);
        c->free = grown(NULL, c->slot_count * sizeof *c->free);
        c->places = calloc(c->slot_count, sizeof *c->places);
        c->generations = calloc(c->slot_count, sizeof *c->generations);
        if (!c->places || !c->generations) fail("no memory");
        for (uint32_t slot = 0; slot < c->slot_count; slot++) c->free[slot] = c->slot_count - 1 - slot;
        c->live = 0;
    }
}

static bool all_answered(void) {
    for (uint32_t i = 0; i < net.traders; i++)
        if (net.all[net.trader[i]].answered < net.all[net.trader[i]].sent) return false;
    return true;
}

static void drain(void) {
    depth = 0;
    while (!all_answered()) turn(-1);
}

static void fill(void) {
    bool lacking = true;
    while (lacking) {
        lacking = false;
        for (uint32_t i = 0; i < net.traders; i++) {
            Connection* c = &net.all[net.trader[i]];
            for (int n = 0; n < 64 && c->slots && c->live < flow.live; n++) place(c, now());
            lacking |= c->slots && c->live < flow.live;
            flush(c);
        }
        drain();
    }
}

static void closed_loop(double seconds, uint32_t in_flight) {
    uint64_t end = now() + (uint64_t)(seconds * SECOND);
    depth = in_flight;
    for (uint32_t i = 0; i < net.traders; i++) {
        Connection* c = &net.all[net.trader[i]];
        for (uint32_t n = 0; n < depth; n++) next_command(c, now());
        flush(c);
    }
    while (now() < end) turn(100);
    drain(); /* what is in flight counts, and burdens nobody else's measurement */
}

static void open_loop(double seconds, double rate) {
    uint64_t begun = now(), count = (uint64_t)(seconds * rate), n = 0;
    while (n < count) {
        uint64_t t = now(), due = begun + (uint64_t)((double)n / rate * SECOND);
        for (; n < count && due <= t; due = begun + (uint64_t)((double)++n / rate * SECOND)) {
            Connection* c = &net.all[net.trader[n % net.traders]];
            if (c->sent - c->answered >= STAMPS) fail("the server cannot follow this rate");
            next_command(c, due);
        }
        for (uint32_t i = 0; i < net.traders; i++) flush(&net.all[net.trader[i]]);
        uint64_t left = due > t + TICK ? due - t : TICK;
        struct itimerspec when = {.it_value = {(time_t)(left / SECOND), (long)(left % SECOND)}};
        timerfd_settime(timer, 0, &when, NULL);
        turn(-1);
    }
    drain();
}

static uint64_t fan_out(double seconds, uint32_t size) {
    uint64_t end = now() + (uint64_t)(seconds * SECOND), bursts = 0;
    uint32_t awake = net.readers - net.stalled;
    while (now() < end) {
        next_burst(&net.all[net.trader[0]], size);
        while (complete < awake) turn(-1);
        bursts++;
    }
    return bursts * size * awake;
}

static void stall(uint32_t count) {
    for (; net.stalled < count; net.stalled++) {
        Connection* c = &net.all[net.reader[net.stalled]];
        int bytes = 4096;
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
        if (epoll_ctl(epoll, EPOLL_CTL_DEL, c->fd, NULL)) fail("epoll");
    }
}

static void beside(const char* text) {
    Connection *first = &net.all[net.trader[0]], *last = &net.all[net.trader[net.traders - 1]];
    big_answered = false;
    pinging = true;
    ping(first);
    flush(first);
    frame(last, 1, text, strlen(text));
    flush(last);
    while (!big_answered) turn(-1);
    for (uint64_t end = now() + SECOND / 2; now() < end;) turn(100);
    pinging = false;
    drain();
}

static int by_size(const void* a, const void* b) {
    uint64_t x = *(const uint64_t*)a, y = *(const uint64_t*)b;
    return (x > y) - (x < y);
}

static double quantile_us(double share) {
    if (!measured.count) return 0;
    uint64_t at = (uint64_t)(share * (double)measured.count);
    return (double)measured.waits[at < measured.count ? at : measured.count - 1] / 1e3;
}

static void obey(char* line) {
    char word[16] = "", rest[LINE] = "", path[256];
    double seconds = 0;
    uint32_t a = 0, b = 0, c = 0, d = 0;
    uint64_t deliveries = 0, begun;
    double cpu = cpu_s();
    sscanf(line, "%15s %4095[^\n]", word, rest);
    measured.count = measured.refused = measured.replies = 0;
    measured.on = true;
    begun = now();
    if (!strcmp(word, "open") && sscanf(rest, "%u %255s %u", &a, path, &b) == 3) {
        open_all(a, path, b);
    } else if (!strcmp(word, "flow") && sscanf(rest, "%u %u %u %u", &a, &b, &c, &d) == 4) {
        set_flow(a, b, c, d);
    } else if (!strcmp(word, "fill")) {
        fill();
    } else if (!strcmp(word, "run") && sscanf(rest, "%lf %u", &seconds, &a) == 2) {
        closed_loop(seconds, a);
    } else if (!strcmp(word, "rate") && sscanf(rest, "%lf %u", &seconds, &a) == 2) {
        open_loop(seconds, a);
    } else if (!strcmp(word, "fan") && sscanf(rest, "%lf %u", &seconds, &a) == 2) {
        deliveries = fan_out(seconds, a);
    } else if (!strcmp(word, "stall") && sscanf(rest, "%u", &a) == 1) {
        stall(a);
    } else if (!strcmp(word, "beside")) {
        beside(rest);
    } else {
        errno = 0;
        fail("no such command");
    }
    seconds = (double)(now() - begun) / SECOND;
    cpu = cpu_s() - cpu;
    measured.on = false;
    qsort(measured.waits, measured.count, sizeof *measured.waits, by_size);
    printf("{\"seconds\":%.6f,\"cpu\":%.6f,\"replies\":%lu,\"refused\":%lu,\"deliveries\":%lu,"
           "\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}\n",
           seconds, cpu, measured.replies, measured.refused, deliveries, quantile_us(.5), quantile_us(.9),
           quantile_us(.99), quantile_us(1));
    fflush(stdout);
}

int main(int count, char** arguments) {
    struct rlimit files;
    static char lines[LINE];
    size_t held = 0;
    if (count != 3) return fputs("usage: load PORT SEED\n", stderr), 2;
    port = atoi(arguments[1]);
    random_state = strtoull(arguments[2], NULL, 10);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event on_stdin = {.events = EPOLLIN, .data.u32 = STDIN_KEY};
    struct epoll_event on_timer = {.events = EPOLLIN, .data.u32 = TIMER_KEY};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &on_stdin) || epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &on_timer))
        fail("epoll");
    for (;;) {
        if (!turn(-1)) continue;
        ssize_t got = read(0, lines + held, LINE - 1 - held);
        if (got <= 0) return 0;
        held += (size_t)got;
        lines[held] = 0;
        char* end = strchr(lines, '\n');
        if (!end) continue;
        *end = 0;
        obey(lines); /* one command is asked at a time: nothing follows it */
        held = 0;
    }
}
