/* SPDX-License-Identifier: MIT */
/*
 * stb_image and stb_image_write, compiled alone.
 *
 * JPEG and PNG have codecs of their own (jpeg.c, png.c): stb shrinks nothing
 * while it decodes and verifies no PNG checksum.  What is left out here or
 * refused in front (simple.c) has memory errors in Debian's 2.27: the loader
 * of all GIF frames is never called, 16-bit PNM and PSD are refused.
 */
#include <stddef.h>

#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
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
