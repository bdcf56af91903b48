/* SPDX-License-Identifier: MIT */
/*
 * stb_image and stb_image_write, compiled alone.
 *
 * JPEG, PNG, GIF and PNM have codecs of their own: stb shrinks nothing while
 * it decodes and verifies no PNG checksum, and Debian's 2.27 has memory errors
 * in its GIF loader, and lets numbers overflow in PNM.  16-bit PSD, whose
 * conversion is as bad, is refused by simple.c.
 */
#include <stddef.h>

#define STBI_ONLY_BMP
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
