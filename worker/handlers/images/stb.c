/* SPDX-License-Identifier: MIT */
/*
 * stb_image and stb_image_write, compiled alone.
 *
 * JPEG, PNG and GIF have codecs of their own: stb shrinks nothing while it
 * decodes, verifies no PNG checksum, and its GIF loader has memory errors in
 * Debian's 2.27.  So has its conversion of 16-bit PNM and PSD, which simple.c
 * refuses in front.
 */
#include <stddef.h>

#define STBI_ONLY_BMP
#define STBI_ONLY_PNM
#define STBI_ONLY_PSD
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
