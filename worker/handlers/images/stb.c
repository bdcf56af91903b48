/* SPDX-License-Identifier: MIT */
/*
 * stb_image and stb_image_write, compiled alone.
 *
 * The other formats have codecs of their own: stb shrinks nothing while it
 * decodes and verifies no PNG checksum, and fuzzing Debian's 2.27 found memory
 * errors in its GIF loader and its 16-bit conversion, and numbers that overflow
 * in PNM and PSD.
 */
#include <stddef.h>
#include <stdlib.h>

/*
 * Where a file is cut short or points outside its palette, stb hands out memory
 * that it never wrote, and what was there may be another caller's picture.  So
 * memory begins as zeros; its stack, where palettes are, is filled by a flag in
 * Makefile.
 */
#define STBI_MALLOC(n)		calloc(1, n)
#define STBI_REALLOC(p, n)	realloc(p, n)
#define STBI_FREE(p)		free(p)
#define STBI_ONLY_BMP
#define STBI_ONLY_TGA
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
/* Sides; simple.c has checked them against the settings before. */
#define STBI_MAX_DIMENSIONS	65535
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
