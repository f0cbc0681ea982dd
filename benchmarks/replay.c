/* Replays a file of messages of the public benchmark to an engine; prints the CPU time in ns per
   message. Reports are dropped, so that only the engine is measured: see bench_public.py. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "matching_engine_api.h"

enum { NEW, CANCEL, MODIFY };

typedef struct {
    uint8_t type, side, ioc, pad;
    uint32_t quantity;
    uint64_t sequence, order_id;
    int64_t price, reserved;
} record_t;

typedef struct {
    uint64_t magic;
    uint32_t version, count;
} header_t;

typedef union {
    new_order_t new_order;
    cancel_t cancel;
    modify_t modify;
} message_t;

static int drop(void* sink, const me_report_t* report) {
    (void)sink;
    (void)report;
    return 1;
}

static void fail(const char* what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void* symbol(void* engine, const char* name) {
    void* found = dlsym(engine, name);
    if (found == NULL) fail(name);
    return found;
}

static record_t* read_records(const char* path, size_t* count) {
    FILE* file = fopen(path, "rb");
    header_t header;
    record_t* records;
    if (file == NULL || fread(&header, sizeof header, 1, file) != 1) fail(path);
    *count = header.count;
    records = malloc(*count * sizeof *records);
    if (records == NULL || fread(records, sizeof *records, *count, file) != *count) fail(path);
    fclose(file);
    return records;
}

static message_t* messages_of(const record_t* records, size_t count) {
    message_t* messages = calloc(count, sizeof *messages);
    if (messages == NULL) fail("no memory");
    for (size_t i = 0; i < count; i++) {
        const record_t* r = &records[i];
        if (r->type == NEW) {
            messages[i].new_order = (new_order_t){
                r->order_id, r->sequence, r->price, r->quantity, r->side, r->ioc, {0}};
        } else if (r->type == CANCEL) {
            messages[i].cancel = (cancel_t){r->order_id, r->sequence};
        } else {
            messages[i].modify = (modify_t){
                r->order_id, r->sequence, r->price, r->quantity, r->side, {0}};
        }
    }
    return messages;
}

static double cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

int main(int argc, char** argv) {
    void* engine = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (engine == NULL) fail(argc == 3 ? dlerror() : "usage: replay ENGINE.so MESSAGES");
    void (*init)(uint64_t, const me_transport_t*, void*) = symbol(engine, "engine_init");
    void (*on_new)(const new_order_t*) = symbol(engine, "engine_on_new_order");
    void (*on_cancel)(const cancel_t*) = symbol(engine, "engine_on_cancel");
    void (*on_modify)(const modify_t*) = symbol(engine, "engine_on_modify");
    void (*flush)(void) = symbol(engine, "engine_flush");
    me_transport_t transport = {0};
    size_t count;
    record_t* records = read_records(argv[2], &count);
    message_t* messages = messages_of(records, count);
    transport.push = drop;
    init(1, &transport, NULL);
    double begun = cpu_ns();
    for (size_t i = 0; i < count; i++) {
        if (records[i].type == NEW) on_new(&messages[i].new_order);
        else if (records[i].type == CANCEL) on_cancel(&messages[i].cancel);
        else on_modify(&messages[i].modify);
    }
    flush();
    printf("%.2f\n", (cpu_ns() - begun) / (double)count);
    return 0;
}
