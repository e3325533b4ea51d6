// Integer: heap sort of 4096 random words; loads, stores and branches that no one can predict.
#include "start.h"

enum { COUNT = 4096 };
static uint32_t values[COUNT];

static void sink(uint32_t *heap, uint32_t at, uint32_t count)
{
    uint32_t value = heap[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1] > heap[child])
            child++;
        if (heap[child] <= value)
            break;
        heap[at] = heap[child];
    }
    heap[at] = value;
}

static void sort(uint32_t *heap, uint32_t count)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sink(heap, i, count);
    for (uint32_t last = count - 1; last > 0; last--) {
        uint32_t largest = heap[0];
        heap[0] = heap[last];
        heap[last] = largest;
        sink(heap, 0, last);
    }
}

static uint64_t kernel(uint64_t rounds)
{
    uint32_t state = 1;
    uint64_t sum = 0;
    while (rounds--) {
        for (int i = 0; i < COUNT; i++)
            values[i] = next_random(&state);
        sort(values, COUNT);
        for (int i = 0; i < COUNT; i++)
            sum = sum * 31 + values[i];
    }
    return sum;
}
