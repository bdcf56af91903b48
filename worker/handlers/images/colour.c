/* SPDX-License-Identifier: MIT */
/* ICC profiles; see colour.h. */
#include "colour.h"

#include <lcms2.h>

static cmsColorSpaceSignature
space_of(enum image_model model)
{
	return (model == IMAGE_GREY ? cmsSigGrayData :
	    model == IMAGE_CMYK ? cmsSigCmykData : cmsSigRgbData);
}

static cmsHPROFILE
open_profile(const unsigned char *icc, size_t len, enum image_model model)
{
	cmsHPROFILE p = len > 0 && len <= UINT32_MAX ?
	    cmsOpenProfileFromMem(icc, (cmsUInt32Number)len) : NULL;

	if (p != NULL && cmsGetColorSpace(p) != space_of(model)) {
		cmsCloseProfile(p);
		return (NULL);
	}
	return (p);
}

bool
colour_matters(const unsigned char *icc, size_t len, enum image_model model)
{
	cmsHPROFILE p = open_profile(icc, len, model);
	char name[64] = "";

	if (p == NULL)
		return (false);
	cmsGetProfileInfoASCII(p, cmsInfoDescription, "en", "US", name,
	    sizeof(name));
	cmsCloseProfile(p);
	return (strncmp(name, "sRGB", 4) != 0);
}

int
colour_to_srgb(struct image *im, const unsigned char *icc, size_t len,
    struct ufop_err *err)
{
	const struct plane *s = &im->plane[0];
	cmsHPROFILE from = open_profile(icc, len, im->model);
	cmsHPROFILE to = cmsCreate_sRGBProfile();
	cmsUInt32Number in = im->model == IMAGE_GREY ? TYPE_GRAY_8 :
	    im->model == IMAGE_CMYK ? TYPE_CMYK_8_REV : TYPE_RGB_8;
	cmsHTRANSFORM t = NULL;
	struct image out;

	if (from != NULL && to != NULL)
		t = cmsCreateTransform(from, in | EXTRA_SH(im->alpha), to,
		    TYPE_RGB_8 | EXTRA_SH(im->alpha), INTENT_PERCEPTUAL,
		    im->alpha ? cmsFLAGS_COPY_ALPHA : 0);
	if (from != NULL)
		cmsCloseProfile(from);
	if (to != NULL)
		cmsCloseProfile(to);
	/* A profile without a way to sRGB is as good as none. */
	if (t == NULL)
		return (0);
	if (image_init(&out, IMAGE_RGB, im->alpha, s->w, s->h, err) == -1) {
		cmsDeleteTransform(t);
		return (-1);
	}
	for (int y = 0; y < s->h; y++)
		cmsDoTransform(t, s->p + (size_t)y * s->stride,
		    out.plane[0].p + (size_t)y * out.plane[0].stride,
		    (cmsUInt32Number)s->w);
	cmsDeleteTransform(t);
	image_release(im);
	*im = out;
	return (0);
}
