/* The practical floor: the time of a C program that does the least a matching engine must do.
 *
 *     floor FILE FIRST
 *
 * FILE holds COMMAND_DTYPE records; the first FIRST of them fill the book and are not measured. Prices
 * index one flat array and ids another; quantities and links have 32 bits. Nothing is checked, no
 * number may be large, no event is written. With -DAHEAD it prefetches for later operations.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LIMIT, CANCEL, REPLACE, MARKET, ROUNDS = 5, FAR_AHEAD = 24, AHEAD_BY = 12, NEAR_AHEAD = 6 };

typedef struct {
    uint8_t op, side, tif, flags;
    uint32_t owner;
    int64_t id, new_id, price, quantity;
} Command;

typedef struct {
    uint32_t next, previous, quantity, place; /* place: price * 2 + side */
    uint64_t id, unused;
} Order;

typedef struct {
    uint32_t head, tail;
    uint64_t total;
} Level;

typedef struct {
    Level* levels;
    uint64_t* words[2][2]; /* per side: a bit per price; a bit per word of those */
    int64_t best[2], prices;
    Order* orders;
    uint32_t *slots, *spare, spares, used; /* slots: by id */
    uint64_t trades, volume, check;
} Book;

static int64_t above(uint64_t** words, int64_t at, int64_t end) {
    int64_t i = ++at >> 6, j;
    uint64_t word = words[0][i] >> (at & 63);
    if (word) return at + __builtin_ctzll(word);
    j = ++i >> 6;
    word = words[1][j] >> (i & 63) << (i & 63);
    while (!word) {
        if (++j << 12 >= end) return end;
        word = words[1][j];
    }
    i = j * 64 + __builtin_ctzll(word);
    return i * 64 + __builtin_ctzll(words[0][i]);
}

static int64_t below(uint64_t** words, int64_t at) {
    int64_t i = at >> 6, j = i >> 6;
    uint64_t word = words[0][i] & (((uint64_t)1 << (at & 63)) - 1);
    if (word) return i * 64 + 63 - __builtin_clzll(word);
    word = words[1][j] & (((uint64_t)1 << (i & 63)) - 1);
    while (!word) {
        if (--j < 0) return -1;
        word = words[1][j];
    }
    i = j * 64 + 63 - __builtin_clzll(word);
    return i * 64 + 63 - __builtin_clzll(words[0][i]);
}

static void level_gone(Book* b, int side, int64_t price) {
    uint64_t** words = b->words[side];
    if (!(words[0][price >> 6] &= ~((uint64_t)1 << (price & 63))))
        words[1][price >> 12] &= ~((uint64_t)1 << (price >> 6 & 63));
    if (price == b->best[side])
        b->best[side] = side ? above(words, price, b->prices) : below(words, price);
}

static uint32_t match(Book* b, int side, int64_t limit, uint32_t quantity, uint64_t id) {
    int other = 1 - side;
    while (quantity) {
        int64_t price = b->best[other];
        Level* level;
        if (side ? price < limit || price < 0 : price > limit || price >= b->prices) break;
        level = &b->levels[price];
        while (quantity && level->head) {
            uint32_t slot = level->head;
            Order* maker = &b->orders[slot];
            uint32_t traded = maker->quantity < quantity ? maker->quantity : quantity;
            b->trades++;
            b->volume += traded;
            b->check = b->check * 1000003 + maker->id * 31 + id * 17 + (uint64_t)price * 7 + traded;
            quantity -= traded;
            level->total -= traded;
            maker->quantity -= traded;
            if (maker->quantity) break;
            level->head = maker->next;
            if (maker->next) b->orders[maker->next].previous = 0;
            else level->tail = 0;
            b->slots[maker->id] = 0;
            b->spare[b->spares++] = slot;
        }
        if (!level->head) level_gone(b, other, price);
    }
    return quantity;
}

static void limit(Book* b, uint64_t id, int side, int64_t price, uint32_t quantity) {
    uint32_t slot;
    Order* order;
    Level* level = &b->levels[price];
    if (!(quantity = match(b, side, price, quantity, id))) return;
    slot = b->spares ? b->spare[--b->spares] : ++b->used;
    order = &b->orders[slot];
    *order = (Order){0, level->tail, quantity, (uint32_t)price * 2 + (uint32_t)side, id, 0};
    if (level->tail) {
        b->orders[level->tail].next = slot;
    } else {
        level->head = slot;
        b->words[side][0][price >> 6] |= (uint64_t)1 << (price & 63);
        b->words[side][1][price >> 12] |= (uint64_t)1 << (price >> 6 & 63);
        if (side ? price < b->best[1] : price > b->best[0]) b->best[side] = price;
    }
    level->tail = slot;
    level->total += quantity;
    b->slots[id] = slot;
}

static int cancel(Book* b, uint64_t id) {
    uint32_t slot = b->slots[id];
    Order* order = &b->orders[slot];
    int side = order->place & 1;
    int64_t price = order->place >> 1;
    Level* level = &b->levels[price];
    if (!slot) return -1;
    b->slots[id] = 0;
    level->total -= order->quantity;
    if (order->previous) b->orders[order->previous].next = order->next;
    else level->head = order->next;
    if (order->next) b->orders[order->next].previous = order->previous;
    else level->tail = order->previous;
    if (!level->head) level_gone(b, side, price);
    b->spare[b->spares++] = slot;
    return side;
}

static void run(Book* b, const Command* c, const Command* end) {
    for (; c < end; c++) {
#ifdef AHEAD
        if (c + FAR_AHEAD < end) {
            const Command *later = c + AHEAD_BY, *soon = c + NEAR_AHEAD;
            __builtin_prefetch(&b->slots[c[FAR_AHEAD].id], 1);
            if (later->op == LIMIT) __builtin_prefetch(&b->levels[later->price], 1);
            else __builtin_prefetch(&b->orders[b->slots[later->id]], 1);
            if (soon->op == LIMIT) {
                __builtin_prefetch(&b->orders[b->levels[soon->price].tail], 1);
            } else if (soon->op != MARKET) {
                Order* order = &b->orders[b->slots[soon->id]];
                __builtin_prefetch(&b->levels[order->place >> 1], 1);
                __builtin_prefetch(&b->orders[order->previous], 1);
                __builtin_prefetch(&b->orders[order->next], 1);
            }
        }
#endif
        if (c->op == LIMIT) {
            limit(b, c->id, c->side, c->price, (uint32_t)c->quantity);
        } else if (c->op == CANCEL) {
            cancel(b, c->id);
        } else if (c->op == REPLACE) {
            int side = cancel(b, c->id);
            if (side >= 0) limit(b, c->new_id, side, c->price, (uint32_t)c->quantity);
        } else {
            match(b, c->side, c->side ? 0 : b->prices - 1, (uint32_t)c->quantity, c->id);
        }
    }
}

static double nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int count, char** words) {
    FILE* file = count > 2 ? fopen(words[1], "rb") : NULL;
    size_t first, n, i;
    int64_t highest_id = 0, highest_price = 0;
    Command* commands;
    if (!file || fseek(file, 0, SEEK_END)) return fprintf(stderr, "floor FILE FIRST\n"), 2;
    n = (size_t)ftell(file) / sizeof(Command);
    first = (size_t)strtoull(words[2], NULL, 10);
    rewind(file);
    commands = malloc(n * sizeof(Command));
    if (!commands || fread(commands, sizeof(Command), n, file) != n || first >= n) return 2;
    for (i = 0; i < n; i++) {
        if (commands[i].id > highest_id) highest_id = commands[i].id;
        if (commands[i].new_id > highest_id) highest_id = commands[i].new_id;
        if (commands[i].price > highest_price) highest_price = commands[i].price;
    }
    for (int round = 0; round < ROUNDS; round++) {
        Book b = {.prices = (highest_price | 4095) + 1, .best = {-1, 0}};
        double begun;
        b.best[1] = b.prices;
        b.levels = calloc((size_t)b.prices, sizeof(Level));
        for (i = 0; i < 4; i++)
            b.words[i & 1][i >> 1] = calloc((size_t)(b.prices >> (i < 2 ? 6 : 12)) + 2, 8);
        b.orders = calloc(n + 1, sizeof(Order));
        b.spare = malloc((n + 1) * 4);
        b.slots = calloc((size_t)highest_id + 1, 4);
        run(&b, commands, commands + first);
        begun = nanoseconds();
        run(&b, commands + first, commands + n);
        printf("%.2f %llu %llu %llu\n", (nanoseconds() - begun) / (double)(n - first),
               (unsigned long long)b.trades, (unsigned long long)b.volume,
               (unsigned long long)b.check);
        free(b.levels), free(b.orders), free(b.spare), free(b.slots);
        for (i = 0; i < 4; i++) free(b.words[i & 1][i >> 1]);
    }
    return 0;
}
