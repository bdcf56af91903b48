/* SPDX-License-Identifier: MIT */
/* The table of file formats. */
#include "codec.h"

/* TGA has no magic number, so it is asked last. */
static const struct codec *const codecs[] = {
	&codec_jpeg, &codec_png, &codec_webp, &codec_gif, &codec_tiff,
	&codec_avif, &codec_heif, &codec_bmp, &codec_psd, &codec_pnm, &codec_tga
};
#define NCODECS	(sizeof(codecs) / sizeof(codecs[0]))

/* Formats we know by sight and cannot read, for a better sentence. */
static const struct {
	const char	*name;
	size_t		 at;
	const char	*magic;
} others[] = {
	{ "PDF", 0, "%PDF-" }, { "SVG", 0, "<svg" }, { "JPEG XL", 4, "JXL " },
	{ "JPEG XL", 0, "\xff\x0a" }, { "JPEG 2000", 4, "jP  " },
};

static bool
is_here(bool (*can)(void))
{
	return (can == NULL || can());
}

void
codec_list(char *out, size_t size, bool written)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < NCODECS && n < size; i++) {
		const struct codec *c = codecs[i];

		if (written ? c->encode != NULL && is_here(c->can_write) :
		    is_here(c->can_read))
			n += (size_t)snprintf(out + n, size - n, "%s%s",
			    n > 0 ? ", " : "", c->name);
	}
}

int
codec_probe(struct image_info *info, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	char list[128];

	*info = (struct image_info){ .orient = 1, .frames = 1 };
	codec_list(list, sizeof(list), false);
	for (size_t i = 0; i < NCODECS; i++) {
		const struct codec *c = codecs[i];

		if (!c->match(p, len))
			continue;
		if (!is_here(c->can_read))
			return (image_err(err, UFOP_BAD_MEDIA, "the picture is "
			    "of the format %s, which takes %s, and that is not "
			    "installed here; send one of %s", c->name,
			    c->library, list));
		info->codec = c;
		return (c->probe(info, p, len, err));
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		size_t n = strlen(others[i].magic);

		if (len >= others[i].at + n &&
		    memcmp(p + others[i].at, others[i].magic, n) == 0)
			return (image_err(err, UFOP_BAD_MEDIA, "%s is not read; "
			    "send one of %s", others[i].name, list));
	}
	return (image_err(err, UFOP_BAD_MEDIA, "the bytes are no picture in a "
	    "known format; send one of %s", list));
}

int
codec_check_writing(const struct codec *c, struct ufop_err *err)
{
	char list[128];

	if (is_here(c->can_write))
		return (0);
	codec_list(list, sizeof(list), true);
	return (image_err(err, UFOP_BAD_MEDIA, "the format %s cannot be written, "
	    "which takes %s, and that is not installed here; ask for one of %s",
	    c->name, c->library, list));
}

const struct codec *
codec_by_name(const char *name, size_t len)
{
	for (size_t i = 0; i < NCODECS; i++) {
		const struct codec *c = codecs[i];

		if (c->encode == NULL)
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
	if (c->encode != NULL && is_here(c->can_write))
		return (c);
	return (c->instead != NULL ? c->instead : &codec_png);
}
