#include <lutra/observe.h>
const observe_plugin lutra_plugin = {OBSERVE_PLUGIN_VERSION + 1, "old", NULL};
