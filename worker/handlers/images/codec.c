/* SPDX-License-Identifier: MIT */
/* The table of file formats. */
#include "codec.h"

/* TGA has no magic number, so it is asked last. */
static const struct codec *const codecs[] = {
	&codec_jpeg, &codec_png, &codec_webp, &codec_gif, &codec_tiff,
	&codec_avif, &codec_heif, &codec_bmp, &codec_psd, &codec_pnm, &codec_tga
};
#define READABLE	"a JPEG, PNG, WebP, GIF, TIFF, BMP, PSD, PNM or TGA"
#define NCODECS	(sizeof(codecs) / sizeof(codecs[0]))

/* Formats we know by sight and cannot read, for a better sentence. */
static const struct {
	const char	*name;
	size_t		 at;
	const char	*magic;
} others[] = {
	{ "AVIF", 4, "ftypavif" }, { "AVIF", 4, "ftypavis" },
	{ "HEIC", 4, "ftypheic" }, { "HEIC", 4, "ftypheix" },
	{ "HEIC", 4, "ftypmif1" }, { "PDF", 0, "%PDF-" }, { "SVG", 0, "<svg" },
	{ "JPEG XL", 4, "JXL " }, { "JPEG 2000", 4, "jP  " },
};

int
codec_probe(struct image_info *info, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	*info = (struct image_info){ .orient = 1, .frames = 1 };
	for (size_t i = 0; i < NCODECS; i++)
		if (codecs[i]->match(p, len)) {
			info->codec = codecs[i];
			return (codecs[i]->probe(info, p, len, err));
		}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		size_t n = strlen(others[i].magic);

		if (len >= others[i].at + n &&
		    memcmp(p + others[i].at, others[i].magic, n) == 0)
			return (image_err(err, UFOP_BAD_MEDIA, "this build does "
			    "not read %s; send " READABLE, others[i].name));
	}
	return (image_err(err, UFOP_BAD_MEDIA, "the bytes are no picture in a "
	    "known format; send " READABLE));
}

const struct codec *
codec_by_name(const char *name, size_t len)
{
	for (size_t i = 0; i < NCODECS; i++) {
		const struct codec *c = codecs[i];

		if (c->encode == NULL ||
		    (c->available != NULL && !c->available()))
			continue;
		if (strlen(c->name) == len && memcmp(c->name, name, len) == 0)
			return (c);
		if (c->alias != NULL && strlen(c->alias) == len &&
		    memcmp(c->alias, name, len) == 0)
			return (c);
	}
	return (NULL);
}

const struct codec *
codec_for_writing(const struct codec *c)
{
	if (c->encode != NULL)
		return (c);
	return (c->instead != NULL ? c->instead : &codec_png);
}
