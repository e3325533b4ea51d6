// Integer: what small controllers do, in turns: linked lists, matrices of 16-bit numbers, a state
// machine that reads numbers in text, and checksums of all results.
#include "start.h"

static uint16_t crc(uint16_t sum, uint16_t value)
{
    for (int i = 0; i < 16; i++, value >>= 1)
        sum = (uint16_t)(sum >> 1 ^ ((sum ^ value) & 1 ? 0xa001 : 0));
    return sum;
}

// ---- linked lists
typedef struct node {
    struct node *next;
    int16_t key, value;
} node;
enum { NODES = 64 };
static node nodes[NODES];

static node *build(uint32_t seed)
{
    node *head = 0;
    for (int i = 0; i < NODES; i++) {
        nodes[i] = (node){head, (int16_t)(next_random(&seed) & 0x7ff), (int16_t)i};
        head = &nodes[i];
    }
    return head;
}

static node *merge(node *a, node *b)
{
    node first = {0}, *last = &first;
    while (a && b) {
        node **from = a->key <= b->key ? &a : &b;
        last = last->next = *from;
        *from = (*from)->next;
    }
    last->next = a ? a : b;
    return first.next;
}

static node *sort(node *list, int count)
{
    if (count < 2)
        return list;
    node *middle = list;
    for (int i = 1; i < count / 2; i++)
        middle = middle->next;
    node *rest = middle->next;
    middle->next = 0;
    return merge(sort(list, count / 2), sort(rest, count - count / 2));
}

static node *find(node *list, int16_t key)
{
    while (list && list->key != key)
        list = list->next;
    return list;
}

static uint16_t lists(uint16_t sum, uint32_t seed)
{
    node *list = sort(build(seed), NODES);
    for (int key = 0; key < 24; key++) {
        node *found = find(list, (int16_t)(nodes[key].key ^ (key & 1)));
        sum = crc(sum, (uint16_t)(found ? found->value : key));
    }
    return sum;
}

// ---- matrices
enum { SIDE = 12 };
static int16_t left[SIDE][SIDE], right[SIDE][SIDE];
static int32_t product[SIDE][SIDE];

static uint16_t matrices(uint16_t sum, int16_t seed)
{
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            left[i][j] = (int16_t)(seed + i * j);
            right[i][j] = (int16_t)(seed ^ (i + 3 * j));
        }
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            int32_t entry = 0;
            for (int k = 0; k < SIDE; k++)
                entry += (left[i][k] * right[k][j] >> 2 & 0xf) * (left[i][k] >> 5 & 0x7f);
            product[i][j] = entry;
        }
    for (int i = 0; i < SIDE; i++)
        sum = crc(sum, (uint16_t)product[i][SIDE - 1 - i]);
    return sum;
}

// ---- numbers in text
enum state { START, SIGNED, INTEGER, POINT, FRACTION, EXPONENT, POWER, INVALID, STATES };
static const char text[] = "5012,1234,-874,+122,35.54400,.1234500,-110.700,+0.64400,5.500e+3,"
                           "-.123e-2,-87e+832,+0.6e-12,T0.3e-1F,-T.T++Tq,1T3.4e4z,34.0e-T^,";

static enum state step(enum state now, char c)
{
    int digit = c >= '0' && c <= '9', sign = c == '+' || c == '-';
    switch (now) {
    case START: return digit ? INTEGER : sign ? SIGNED : c == '.' ? POINT : INVALID;
    case SIGNED: return digit ? INTEGER : c == '.' ? POINT : INVALID;
    case INTEGER: return digit ? INTEGER : c == '.' ? FRACTION : INVALID;
    case POINT:
    case FRACTION: return digit ? FRACTION : c == 'e' ? EXPONENT : INVALID;
    case EXPONENT: return sign || digit ? POWER : INVALID;
    case POWER: return digit ? POWER : INVALID;
    default: return INVALID;
    }
}

static uint16_t numbers(uint16_t sum, uint32_t change)
{
    uint32_t ends[STATES] = {0};
    enum state now = START;
    for (uint32_t i = 0; text[i]; i++) {
        char c = text[i] == ',' ? ',' : (char)(text[i] ^ (i == change));
        if (c != ',') {
            now = step(now, c);
        } else {
            ends[now]++;
            now = START;
        }
    }
    for (int i = 0; i < STATES; i++)
        sum = crc(sum, (uint16_t)ends[i]);
    return sum;
}

static uint64_t kernel(uint64_t rounds)
{
    uint16_t sum = 0;
    for (uint32_t i = 1; i <= rounds; i++) {
        sum = lists(sum, i);
        sum = matrices(sum, (int16_t)i);
        sum = numbers(sum, i % sizeof text);
    }
    return sum;
}
