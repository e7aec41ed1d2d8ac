/* SPDX-License-Identifier: Apache-2.0
 *
 * Replays a corpus without a fuzzer: main DIRECTORY runs the target once over each file in it, each
 * in memory of exactly its size, so that a sanitizer sees a read behind its end.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

static void replay(const char *path)
{
    FILE *f = fopen(path, "rb");

    FUZZ_ASSERT(f && fseek(f, 0, SEEK_END) == 0);
    size_t n = (size_t)ftell(f);
    uint8_t *input = malloc(n ? n : 1);
    rewind(f);
    FUZZ_ASSERT(input && fread(input, 1, n, f) == n);
    fclose(f);
    printf("%s: %zu bytes\n", path, n);
    fflush(stdout); /* the last one named is the one that failed */
    LLVMFuzzerTestOneInput(input, n);
    free(input);
}

int main(int argc, char **argv)
{
    struct dirent **files;
    int replayed = 0, n = argc == 2 ? scandir(argv[1], &files, NULL, alphasort) : -1;

    FUZZ_ASSERT(n >= 0);
    LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 0; i < n; i++) {
        char path[4096];

        if (files[i]->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", argv[1], files[i]->d_name);
            replay(path);
            replayed++;
        }
        free(files[i]);
    }
    free(files);
    printf("%d inputs\n", replayed);
    return replayed ? 0 : 1;
}
