# lutra::native   what programs compiled for CPUs are linked with (docs/native.md)
# LUTRA_COMPILER  lutc of the same installation
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/lutra-targets.cmake)
get_filename_component(LUTRA_COMPILER ${CMAKE_CURRENT_LIST_DIR}/../../../bin/lutc ABSOLUTE)
