// The standard streams of a tool.
#pragma once

// At the beginning: where one is closed, files that are opened later would take its place, and what
// is written to the stream. Writing to such a stream still fails.
void streams_hold(void);

// At the end: `code`, or EXIT_USER_ERROR where what was written to stdout has not arrived, which is
// said.
int streams_end(const char *tool, int code);
