// What every unit test includes first: cmocka, whose header needs these before it.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#undef expect_check // ours is a function (support/array.h)
