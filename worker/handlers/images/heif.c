/* SPDX-License-Identifier: MIT */
/* AVIF in and out, HEIC in, by libheif where it is installed. */
#include "heif.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <dlfcn.h>
#include <libheif/heif.h>
#include <malloc.h>
#include <sched.h>

#include "asan.h"
#include "codec.h"
#include "exif.h"

#define AVIF_PIXELS_MAX	7680000	/* of a result: beyond, it takes seconds */
#define AVIF_SPEED	8	/* 0 to 9; at 6 it takes three times as long */

/* Measured: bytes that libheif and its decoders need for a pixel. */
#define NEED		9
#define NEED_MOST	36	/* with 12 bits, all of chroma, and alpha */
#define MB		((size_t)1 << 20)
/* Beside pixels; and for each of the threads, which are as many as CPUs. */
#define NEED_EVER	(32 * MB)
#define NEED_THREAD	(16 * MB)
#define LIBRARY		"libheif (Debian: libheif1)"

/* What is used of libheif. */
#define FUNCTIONS(X)							\
	X(heif_context_alloc)						\
	X(heif_context_encode_image)					\
	X(heif_context_free)						\
	X(heif_context_get_encoder_for_format)				\
	X(heif_context_get_primary_image_handle)			\
	X(heif_context_read_from_memory_without_copy)			\
	X(heif_context_set_max_decoding_threads)			\
	X(heif_context_write)						\
	X(heif_decode_image)						\
	X(heif_encoder_release)						\
	X(heif_encoder_set_lossy_quality)				\
	X(heif_encoder_set_parameter_integer)				\
	X(heif_have_decoder_for_format)					\
	X(heif_have_encoder_for_format)					\
	X(heif_image_add_plane)						\
	X(heif_image_create)						\
	X(heif_image_get_height)					\
	X(heif_image_get_plane)						\
	X(heif_image_get_plane_readonly)				\
	X(heif_image_get_width)						\
	X(heif_image_handle_get_color_profile_type)			\
	X(heif_image_handle_get_height)					\
	X(heif_image_handle_get_list_of_metadata_block_IDs)		\
	X(heif_image_handle_get_metadata)				\
	X(heif_image_handle_get_metadata_size)				\
	X(heif_image_handle_get_raw_color_profile)			\
	X(heif_image_handle_get_raw_color_profile_size)			\
	X(heif_image_handle_get_width)					\
	X(heif_image_handle_has_alpha_channel)				\
	X(heif_image_handle_release)					\
	X(heif_image_release)

static struct {
	void	*lib;
#define MEMBER(f)	__typeof__(f) *f;
	FUNCTIONS(MEMBER)
} api;

void
heif_setup(void)
{
	bool all = true;

	if (api.lib != NULL ||
	    (api.lib = dlopen("libheif.so.1", RTLD_NOW | RTLD_LOCAL)) == NULL)
		return;
	/* POSIX lets dlsym()'s result be a function; ISO C has no cast for it. */
#define LOOK_UP(f)							\
	*(void **)&api.f = dlsym(api.lib, #f);				\
	all = all && api.f != NULL;
	FUNCTIONS(LOOK_UP)
	if (!all) {
		dlclose(api.lib);
		api.lib = NULL;
	}
}

/* The library is there, and was built with a codec for it. */
static bool
can_read_av1(void)
{
	return (api.lib != NULL &&
	    api.heif_have_decoder_for_format(heif_compression_AV1));
}

static bool
can_write_av1(void)
{
	return (api.lib != NULL &&
	    api.heif_have_encoder_for_format(heif_compression_AV1));
}

static bool
can_read_hevc(void)
{
	return (api.lib != NULL &&
	    api.heif_have_decoder_for_format(heif_compression_HEVC));
}

static bool
is_brand(const unsigned char *p, const char *const *brands)
{
	for (; *brands != NULL; brands++)
		if (memcmp(p, *brands, 4) == 0)
			return (true);
	return (false);
}

/*
 * What kind of HEIF: the first brand of the ftyp box, or where that is the
 * general one, those that it is compatible with.
 */
static const struct codec *
kind(const unsigned char *p, size_t len)
{
	static const char *const avif[] = { "avif", "avis", NULL };
	static const char *const heic[] = { "heic", "heix", "heim", "heis",
	    "hevc", "hevx", NULL };
	size_t box = len < 16 ? 0 : be32(p);

	if (box < 16 || memcmp(p + 4, "ftyp", 4) != 0)
		return (NULL);
	if (is_brand(p + 8, avif))
		return (&codec_avif);
	if (is_brand(p + 8, heic))
		return (&codec_heif);
	if (!is_brand(p + 8, (const char *const[]){ "mif1", "msf1", NULL }))
		return (NULL);
	for (size_t at = 16; at + 4 <= box && at + 4 <= len; at += 4)
		if (is_brand(p + at, avif))
			return (&codec_avif);
	return (&codec_heif);
}

static bool
match_avif(const unsigned char *p, size_t len)
{
	return (kind(p, len) == &codec_avif);
}

static bool
match_heif(const unsigned char *p, size_t len)
{
	return (kind(p, len) == &codec_heif);
}

static int
bad(struct ufop_err *err, const struct codec *codec, struct heif_error e)
{
	const char *why = e.message != NULL ? e.message : "no picture in it";

	/* Some of libheif's sentences end with their line. */
	return (image_err(err, UFOP_BAD_MEDIA, "the %s file is damaged, cut "
	    "short or of an unknown kind (%.*s); send it as PNG or JPEG",
	    codec->name, (int)strcspn(why, "\n"), why));
}

/* The picture of a file; close_file() in any case. */
struct opened {
	struct heif_context	*ctx;
	struct heif_image_handle *handle;
	struct heif_image	*image;
};

static struct heif_error
open_file(struct opened *o, const unsigned char *p, size_t len)
{
	struct heif_error e;

	*o = (struct opened){ .ctx = api.heif_context_alloc() };
	api.heif_context_set_max_decoding_threads(o->ctx, 0);
	e = api.heif_context_read_from_memory_without_copy(o->ctx, p, len, NULL);
	if (e.code == heif_error_Ok)
		e = api.heif_context_get_primary_image_handle(o->ctx,
		    &o->handle);
	return (e);
}

static void
close_file(struct opened *o)
{
	if (o->image != NULL)
		api.heif_image_release(o->image);
	if (o->handle != NULL)
		api.heif_image_handle_release(o->handle);
	api.heif_context_free(o->ctx);
}

/* libheif does what a file says on turning, so orient stays 1. */
static int
probe(struct image_info *info, const unsigned char *p, size_t len,
    struct ufop_err *err)
{
	struct opened o;
	struct heif_error e = open_file(&o, p, len);
	int ret = 0;

	if (e.code == heif_error_Ok) {
		enum heif_color_profile_type t =
		    api.heif_image_handle_get_color_profile_type(o.handle);

		info->w = api.heif_image_handle_get_width(o.handle);
		info->h = api.heif_image_handle_get_height(o.handle);
		info->has_profile = t == heif_color_profile_type_rICC ||
		    t == heif_color_profile_type_prof;
		snprintf(info->color, sizeof(info->color), "%s",
		    api.heif_image_handle_has_alpha_channel(o.handle) ?
		    "nycbcra" : "ycbcr");
	}
	if (e.code == heif_error_Ok && (info->w < 1 || info->h < 1))
		e = (struct heif_error){ .code = heif_error_Invalid_input,
		    .message = "no size" };
	/* The message goes with the context. */
	if (e.code != heif_error_Ok)
		ret = bad(err, info->codec, e);
	close_file(&o);
	return (ret);
}

static unsigned char *
profile(const unsigned char *p, size_t len, size_t *out_len)
{
	unsigned char *icc = NULL;
	struct opened o;

	if (open_file(&o, p, len).code == heif_error_Ok) {
		*out_len = api.heif_image_handle_get_raw_color_profile_size(
		    o.handle);
		icc = malloc(*out_len + 1);
		if (icc != NULL &&
		    api.heif_image_handle_get_raw_color_profile(o.handle,
		    icc).code != heif_error_Ok) {
			free(icc);
			icc = NULL;
		}
	}
	close_file(&o);
	return (icc);
}

/* An item whose first four bytes say how many stand before the TIFF header. */
static unsigned char *
exif(const unsigned char *p, size_t len, size_t *out_len)
{
	unsigned char *item = NULL, *packed = NULL;
	heif_item_id id;
	struct opened o;
	size_t n = 0;

	if (open_file(&o, p, len).code == heif_error_Ok &&
	    api.heif_image_handle_get_list_of_metadata_block_IDs(o.handle,
	    "Exif", &id, 1) == 1) {
		n = api.heif_image_handle_get_metadata_size(o.handle, id);
		item = malloc(n + 1);
	}
	if (item != NULL && n > 4 && api.heif_image_handle_get_metadata(o.handle,
	    id, item).code == heif_error_Ok) {
		size_t skip = be32(item);

		if (skip < n - 4)
			packed = exif_pack(item + 4 + skip, n - 4 - skip,
			    out_len);
	}
	free(item);
	close_file(&o);
	return (packed);
}

#ifdef ASAN
/* Its own maps would count, and it ends the process where malloc() fails. */
#define CAPPED	false
#else
#define CAPPED	true
#endif

/* Bytes of private memory this process has mapped, to the next megabyte. */
static size_t
mapped(const struct rlimit *now)
{
	size_t low = 0, high = (size_t)1 << 40;

	if (now->rlim_max < high)
		high = (size_t)now->rlim_max;
	/* /proc is closed to the sandbox; but a limit that is too low is felt. */
	while (high - low > MB) {
		struct rlimit try = { low + (high - low) / 2, now->rlim_max };
		void *p = MAP_FAILED;

		if (setrlimit(RLIMIT_DATA, &try) == 0)
			p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p != MAP_FAILED) {
			munmap(p, 4096);
			high = (size_t)try.rlim_cur;
		} else
			low = (size_t)try.rlim_cur;
	}
	return (high);
}

/*
 * heif_decode_image(), with no more memory than a picture of that size can
 * need.  The stream inside of a file may hold another size than its header, and
 * decoders make room for what they find there: a kilobyte asked for 400 MB.
 *
 * Nor may a damaged file bring out what was in memory before: some decoders skip
 * over slices that they cannot read, so whatever they ask for is filled.
 */
static struct heif_error
decode_within(struct opened *o, const struct image_info *info,
    enum heif_chroma chroma)
{
	struct heif_error e;
	struct rlimit old, cap;
	cpu_set_t cpus;
	size_t most = (size_t)info->w * (size_t)info->h * NEED_MOST + NEED_EVER;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		most += (size_t)CPU_COUNT(&cpus) * NEED_THREAD;
	getrlimit(RLIMIT_DATA, &old);
	cap = old;
	if (CAPPED && (most += mapped(&old)) < cap.rlim_cur)
		cap.rlim_cur = most;
	setrlimit(RLIMIT_DATA, &cap);
	mallopt(M_PERTURB, 0xff);	/* with its complement */
	e = api.heif_decode_image(o->handle, &o->image, heif_colorspace_RGB,
	    chroma, NULL);
	mallopt(M_PERTURB, 0);
	setrlimit(RLIMIT_DATA, &old);
	return (e);
}

static int
decode(struct image *im, const struct image_info *info, const unsigned char *p,
    size_t len, const struct decode_hints *hints, struct decode_notes *notes,
    struct ufop_err *err)
{
	struct opened o;
	struct heif_error e;
	bool alpha = false;
	int ret = 0, stride = 0;
	void *room;

	(void)hints;
	notes->shrink = 1;
	/* Out of memory, libheif calls the file damaged: it is asked for before. */
	room = image_malloc((size_t)info->w * (size_t)info->h * NEED, err);
	if (room == NULL)
		return (-1);
	free(room);
	e = open_file(&o, p, len);
	if (e.code == heif_error_Ok) {
		alpha = api.heif_image_handle_has_alpha_channel(o.handle);
		e = decode_within(&o, info, alpha ?
		    heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB);
	}
	if (e.code != heif_error_Ok ||
	    api.heif_image_get_width(o.image, heif_channel_interleaved) !=
	    info->w ||
	    api.heif_image_get_height(o.image, heif_channel_interleaved) !=
	    info->h)
		ret = bad(err, info->codec, e.code != heif_error_Ok ? e :
		    (struct heif_error){ .message = "its pixels are not of the "
		    "size that it says" });
	else
		ret = image_init(im, IMAGE_RGB, alpha, info->w, info->h, err);
	if (ret == 0) {
		const uint8_t *from = api.heif_image_get_plane_readonly(o.image,
		    heif_channel_interleaved, &stride);

		for (int y = 0; y < info->h; y++)
			memcpy(im->plane[0].p + (size_t)y * im->plane[0].stride,
			    from + (size_t)y * (size_t)stride,
			    im->plane[0].stride);
	}
	close_file(&o);
	return (ret);
}

/* ---- writing --------------------------------------------------------- */

static struct heif_error
take_bytes(struct heif_context *ctx, const void *p, size_t n, void *user)
{
	struct bytes *out = user;
	struct heif_error ok = { heif_error_Ok, heif_suberror_Unspecified, "" };
	struct heif_error no = { heif_error_Memory_allocation_error,
	    heif_suberror_Unspecified, "no memory" };

	(void)ctx;
	if ((out->p = malloc(n > 0 ? n : 1)) == NULL)
		return (no);
	memcpy(out->p, p, n);
	out->len = n;
	return (ok);
}

static struct heif_error
fill(struct heif_image **to, const struct image *im)
{
	const struct plane *pl = &im->plane[0];
	struct heif_error e = api.heif_image_create(pl->w, pl->h,
	    heif_colorspace_RGB, im->alpha ? heif_chroma_interleaved_RGBA :
	    heif_chroma_interleaved_RGB, to);
	int stride;
	uint8_t *p;

	if (e.code == heif_error_Ok)
		e = api.heif_image_add_plane(*to, heif_channel_interleaved,
		    pl->w, pl->h, 8);
	if (e.code != heif_error_Ok)
		return (e);
	p = api.heif_image_get_plane(*to, heif_channel_interleaved, &stride);
	for (int y = 0; y < pl->h; y++)
		memcpy(p + (size_t)y * (size_t)stride, pl->p +
		    (size_t)y * pl->stride, (size_t)pl->w * (size_t)pl->n);
	return (e);
}

static int
encode(struct bytes *out, const struct image *im,
    const struct encode_opts *opts, struct ufop_err *err)
{
	struct heif_writer writer = { 1, take_bytes };
	struct heif_context *ctx;
	struct heif_encoder *enc = NULL;
	struct heif_image *pixels = NULL;
	struct heif_error e;
	int ret = 0;

	*out = (struct bytes){ 0 };
	ctx = api.heif_context_alloc();
	e = api.heif_context_get_encoder_for_format(ctx, heif_compression_AV1,
	    &enc);
	if (e.code == heif_error_Ok) {
		api.heif_encoder_set_lossy_quality(enc, opts->quality);
		api.heif_encoder_set_parameter_integer(enc, "speed", AVIF_SPEED);
		api.heif_encoder_set_parameter_integer(enc, "threads", 1);
		e = fill(&pixels, im);
	}
	if (e.code == heif_error_Ok)
		e = api.heif_context_encode_image(ctx, pixels, enc, NULL, NULL);
	if (e.code == heif_error_Ok)
		e = api.heif_context_write(ctx, &writer, out);
	if (e.code != heif_error_Ok) {
		free(out->p);
		ret = image_err(err, UFOP_FAILED, "cannot write the AVIF "
		    "(%.200s)", e.message);
	}
	if (pixels != NULL)
		api.heif_image_release(pixels);
	if (enc != NULL)
		api.heif_encoder_release(enc);
	api.heif_context_free(ctx);
	return (ret);
}

const struct codec codec_avif = {
	.name = "avif", .type = "image/avif", .can_read = can_read_av1,
	.can_write = can_write_av1, .library = LIBRARY, .instead = &codec_jpeg,
	.takes_alpha = true, .lossy = true, .max_side = 16384,
	.max_pixels = AVIF_PIXELS_MAX,
	.match = match_avif, .probe = probe, .decode = decode,
	.profile = profile, .exif = exif, .encode = encode
};

const struct codec codec_heif = {
	.name = "heic", .alias = "heif", .type = "image/heic",
	.can_read = can_read_hevc, .library = LIBRARY, .instead = &codec_jpeg,
	.match = match_heif, .probe = probe, .decode = decode,
	.profile = profile, .exif = exif
};
