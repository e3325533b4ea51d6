#include <lutra/observe.h>
int something_else;
