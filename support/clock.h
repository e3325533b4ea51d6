// The monotonic clock, for measuring what took how long.
#pragma once

// Seconds since an arbitrary moment.
double clock_seconds(void);
