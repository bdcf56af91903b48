/* SPDX-License-Identifier: MIT */
/* A second opinion on the PNG and GIF that we write. */
#pragma GCC diagnostic ignored "-Wunused-function"
#define STBI_ONLY_PNG
#define STBI_ONLY_GIF
#define STBI_NO_STDIO
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

#include "images_kit.h"

unsigned char *
kit_stb(const void *p, size_t len, int n, int *w, int *h)
{
	int found;

	return (stbi_load_from_memory(p, (int)len, w, h, &found, n));
}
