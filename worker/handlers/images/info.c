/* SPDX-License-Identifier: MIT */
/* What can be said of a picture without showing it; see info.h. */
#include "info.h"

#include <libexif/exif-data.h>

#define VALUE_MAX	1024	/* bytes of a value's text; longer ones are cut */

static json_t *
checked(json_t *v, struct ufop_err *err)
{
	if (v == NULL)
		image_err(err, UFOP_FAILED, "cannot make the JSON");
	return (v);
}

json_t *
info_head(const struct image_info *in, struct ufop_err *err)
{
	json_t *v = json_pack("{s:s, s:i, s:i, s:s}", "format", in->codec->name,
	    "width", in->w, "height", in->h, "colorModel", in->color);

	if (v != NULL && in->animated)
		json_object_set_new(v, "frameNumber", json_integer(in->frames));
	return (checked(v, err));
}

json_t *
info_average(struct picture *p, struct ufop_err *err)
{
	unsigned char c[3];
	char text[16];

	if (picture_average(p, c, err) == -1)
		return (NULL);
	snprintf(text, sizeof(text), "0x%02x%02x%02x", c[0], c[1], c[2]);
	return (checked(json_pack("{s:s}", "RGB", text), err));
}

static void
add_entry(ExifEntry *e, void *object)
{
	ExifIfd ifd = exif_content_get_ifd(e->parent);
	const char *name = exif_tag_get_name_in_ifd(e->tag, ifd);
	char text[VALUE_MAX];
	json_t *val;

	/* The embedded thumbnail has tags of the same names: the first counts. */
	if (name == NULL || json_object_get(object, name) != NULL)
		return;
	exif_entry_get_value(e, text, sizeof(text));
	if ((val = json_string(text)) == NULL) {
		/* Not UTF-8, as cameras write it. */
		for (char *p = text; *p != '\0'; p++)
			if ((unsigned char)*p >= 0x80)
				*p = '?';
		val = json_string(text);
	}
	json_object_set_new(object, name, json_pack("{s:i, s:o}", "type",
	    (int)e->format, "val", val));
}

json_t *
info_exif(const struct codec *codec, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	ExifData *exif = exif_data_new();
	json_t *object = json_object();
	unsigned char *block = NULL;

	if (codec->exif != NULL) {
		block = codec->exif(p, len, &len);
		p = block;
	} else if (codec != &codec_jpeg)
		p = NULL;
	/* Tags that the standard demands are not made up. */
	exif_data_unset_option(exif, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
	if (p != NULL && len <= UINT32_MAX)
		exif_data_load_data(exif, p, (unsigned)len);
	for (int i = 0; i < EXIF_IFD_COUNT; i++)
		exif_content_foreach_entry(exif->ifd[i], add_entry, object);
	exif_data_unref(exif);
	free(block);
	if (json_object_size(object) > 0)
		return (object);
	json_decref(object);
	image_err(err, UFOP_BAD_INPUT, "the picture has no EXIF data");
	return (NULL);
}
