/* SPDX-License-Identifier: MIT */
/* Moving pictures: GIF and WebP, frame by frame; and palettes. */
#include "images_kit.h"
#include "quantize.h"
#include "unit.h"

#define FRAMES	5

/* Frame i: a square that walks, over nothing or over a gradient. */
static void
scene(struct image *im, int i, bool opaque)
{
	struct ufop_err err;

	CHECK(image_init(im, IMAGE_RGB, true, 40, 30, &err) == 0);
	for (int y = 0; y < 30; y++)
		for (int x = 0; x < 40; x++) {
			unsigned char *p = im->plane[0].p + (y * 40 + x) * 4;
			bool in = x >= 6 * i && x < 6 * i + 8 && y >= 5 && y < 20;

			p[0] = in ? 255 : (unsigned char)(x * 4 & 0xf0);
			p[1] = in ? 0 : (unsigned char)(y * 4 & 0xf0);
			p[2] = in ? 0 : 128;
			p[3] = in || opaque ? 255 : 0;
			if (p[3] == 0)
				p[0] = p[1] = p[2] = 0;
		}
}

static struct bytes
movie(const struct codec *codec, bool opaque, int plays)
{
	struct encode_opts opts = { .quality = 100 };
	struct ufop_err err;
	struct anim_writer *w = codec->write_frames(40, 30, plays, &opts, &err);
	struct bytes out;

	for (int i = 0; i < FRAMES; i++) {
		struct image im;

		scene(&im, i, opaque);
		CHECK(w->add(w, &im, 50 + 10 * i, &err) == 0);
		image_release(&im);
	}
	CHECK(w->finish(w, &out, &err) == 0);
	w->close(w);
	return (out);
}

void
test_images_frames_come_back(void)
{
	static const struct codec *const codecs[] = { &codec_gif, &codec_webp };

	for (int c = 0; c < 2; c++)
		for (int opaque = 0; opaque < 2; opaque++) {
			struct bytes b = movie(codecs[c], opaque, 3);
			struct image_info info;
			struct anim_reader *r;
			struct ufop_err err;
			int delay, n = 0;
			struct image got, want;

			CHECK(codec_probe(&info, b.p, b.len, &err) == 0);
			CHECK_INT(info.frames, FRAMES);
			CHECK_INT(info.plays, 3);
			CHECK_INT(info.w, 40);
			r = info.codec->read_frames(&info, b.p, b.len, &err);
			while (r->next(r, &got, &delay, &err) == 1) {
				scene(&want, n, opaque);
				CHECK_INT(delay, 50 + 10 * n);
				/* WebP's has half the colours. */
				CHECK_MSG(kit_psnr(&want, &got) >= (c == 0 ?
				    99 : 25), "%s opaque=%d frame %d: %.1f dB",
				    codecs[c]->name, opaque, n,
				    kit_psnr(&want, &got));
				image_release(&want);
				image_release(&got);
				n++;
			}
			CHECK_INT(n, FRAMES);
			r->close(r);
			free(b.p);
		}
}

void
test_images_frames_go_through_steps(void)
{
	static const struct {
		const char *cmd, *codec;
		int frames, w, h;
	} rows[] = {
		{ "imageView2/2/w/20", "gif", FRAMES, 20, 15 },
		{ "imageView2/1/w/10/h/10", "gif", FRAMES, 10, 10 },
		{ "imageMogr2/thumbnail/20x/rotate/90", "gif", FRAMES, 15, 20 },
		{ "imageMogr2/crop/32x20/format/webp", "webp", FRAMES, 32, 20 },
		{ "thumbnail/w/20/format/png", "png", 1, 20, 15 },
		{ "thumbnail/w/20/format/jpg", "jpeg", 1, 20, 15 },
	};
	struct bytes b = movie(&codec_gif, false, 0);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct picture_file out;
		struct image_info info;
		struct ufop_err err = { UFOP_OK, "" };
		struct image im;

		CHECK_MSG(kit_run(rows[i].cmd, b.p, b.len, &im, &out, &err) == 0,
		    "%s: %s", rows[i].cmd, err.msg);
		CHECK(codec_probe(&info, out.bytes.p, out.bytes.len, &err) == 0);
		CHECK_STR(info.codec->name, rows[i].codec);
		CHECK_INT(info.frames, rows[i].frames);
		CHECK_INT(info.plays, 0);
		CHECK_INT(im.plane[0].w, rows[i].w);
		CHECK_INT(im.plane[0].h, rows[i].h);
		image_release(&im);
		free(out.bytes.p);
	}
	free(b.p);
}

/* Cut short it is an error, wherever; flipped bits do no harm. */
/* All frames of the longest duration, whose sum is more than an int holds. */
void
test_images_frames_of_hours(void)
{
	static const char *const formats[] = { "webp", "gif" };
	size_t len;
	unsigned char *p = unit_data("harm/durations.webp", &len);

	for (int i = 0; i < 2; i++) {
		struct picture_file out;
		struct image_info info;
		struct anim_reader *r;
		struct ufop_err err;
		struct image im;
		int64_t sum = 0;
		char cmd[64];
		int delay;

		snprintf(cmd, sizeof(cmd), "imageMogr2/format/%s", formats[i]);
		CHECK_INT(kit_run(cmd, p, len, NULL, &out, &err), 0);
		CHECK(codec_probe(&info, out.bytes.p, out.bytes.len, &err) == 0);
		r = info.codec->read_frames(&info, out.bytes.p, out.bytes.len,
		    &err);
		/* libwebp makes one of frames that are alike. */
		while (r->next(r, &im, &delay, &err) == 1) {
			CHECK_MSG(delay >= FRAME_MAX_MS, "%d ms", delay);
			sum += delay;
			image_release(&im);
		}
		CHECK_INT(sum, 130 * FRAME_MAX_MS);
		r->close(r);
		free(out.bytes.p);
	}
	free(p);
}

void
test_images_frames_damaged(void)
{
	static const struct codec *const codecs[] = { &codec_gif, &codec_webp };
	static const char cmd[] = "imageView2/2/w/20";

	for (int c = 0; c < 2; c++) {
		struct bytes b = movie(codecs[c], true, 0);
		struct ufop_err err;

		/* Of a GIF, the last byte says nothing but that it ends. */
		for (size_t n = 1; n + 1 < b.len; n += 1 + b.len / 300) {
			unsigned char *copy = malloc(n);
			int code;

			memcpy(copy, b.p, n);
			code = kit_run(cmd, copy, n, NULL, NULL, &err);
			CHECK_MSG(code == UFOP_BAD_MEDIA, "%s: %zu of %zu: %d",
			    codecs[c]->name, n, b.len, code);
			free(copy);
		}
		for (size_t i = 0; i < b.len * 8; i += 1 + b.len * 8 / 400) {
			int code;

			b.p[i / 8] ^= (unsigned char)(1 << (i % 8));
			code = kit_run(cmd, b.p, b.len, NULL, NULL, &err);
			CHECK_MSG(code == 0 || code == UFOP_BAD_MEDIA ||
			    code == UFOP_TOO_BIG, "%s, bit %zu: %d",
			    codecs[c]->name, i, code);
			b.p[i / 8] ^= (unsigned char)(1 << (i % 8));
		}
		CHECK_INT(kit_run(cmd, b.p, b.len, NULL, NULL, &err), 0);
		free(b.p);
	}
}

void
test_images_frames_are_limited(void)
{
	struct bytes b = movie(&codec_gif, true, 0);
	struct limits limits = kit_limits;
	struct picture_times times;
	struct picture_file out;
	struct ufop_err err;
	struct spec spec;

	CHECK(grammar_view2(&spec, STR("2/w/10"), &err) == 0);
	limits.max_frames = FRAMES - 1;
	CHECK(pipeline_run(&spec, &limits, b.p, b.len, &out, &times, &err) == -1);
	CHECK_INT(err.code, UFOP_TOO_BIG);
	CHECK(strstr(err.msg, "frames") != NULL);
	limits = kit_limits;
	limits.max_pixels = 40 * 30 * FRAMES - 1;
	CHECK(pipeline_run(&spec, &limits, b.p, b.len, &out, &times, &err) == -1);
	CHECK_INT(err.code, UFOP_TOO_BIG);
	free(b.p);
}

/* All of a GIF's code sizes, and a full table. */
void
test_images_gif_noise_comes_back(void)
{
	struct ufop_err err;

	for (int colours = 1; colours <= 255; colours = colours * 2 + 1) {
		struct image in, out;
		uint32_t r = 1;
		struct bytes b;

		CHECK(image_init(&in, IMAGE_RGB, false, 201, 101, &err) == 0);
		for (int i = 0; i < 201 * 101; i++) {
			unsigned char v;

			r = r * 1664525 + 1013904223;
			v = (unsigned char)((r >> 16) % (unsigned)colours);
			memset(in.plane[0].p + 3 * i, v, 3);
		}
		b = kit_encode(&codec_gif, &in, 0, 1);
		kit_decode(&out, b.p, b.len);
		image_drop_opaque(&out);
		CHECK_MSG(kit_psnr(&in, &out) == 99, "%d colours", colours);
		for (size_t n = 1; n + 8 < b.len; n += 1 + b.len / 300)
			CHECK_MSG(kit_try_decode(b.p, n) == UFOP_BAD_MEDIA,
			    "%d colours: %zu of %zu bytes", colours, n, b.len);
		image_release(&in);
		image_release(&out);
		free(b.p);
	}
}

void
test_images_gif_of_a_photograph(void)
{
	struct image want, got;
	struct picture_file out;
	struct ufop_err err;
	size_t len;
	void *photo = unit_data("kleiber.jpg", &len);
	double db;

	CHECK_INT(kit_run("thumbnail/w/400/format/gif", photo, len, &got, &out,
	    &err), 0);
	free(out.bytes.p);
	CHECK_INT(kit_run("thumbnail/w/400/format/png", photo, len, &want, &out,
	    &err), 0);
	free(out.bytes.p);
	image_drop_opaque(&got);
	db = kit_psnr(&want, &got);
	CHECK_MSG(db > 28, "%.1f dB", db);
	image_release(&want);
	image_release(&got);
	free(photo);
}

void
test_images_webp_looks_the_same(void)
{
	static const char *const cmds[] = {
		"thumbnail/w/400/q/95/format/", "crop/300,200,101,51/q/95/format/"
	};
	size_t len;
	void *photo = unit_data("kleiber.jpg", &len);

	for (int i = 0; i < 2; i++) {
		struct image want, got;
		struct picture_file out;
		struct ufop_err err;
		char cmd[64];
		double db;

		snprintf(cmd, sizeof(cmd), "%swebp", cmds[i]);
		CHECK_INT(kit_run(cmd, photo, len, &got, &out, &err), 0);
		CHECK_STR(out.codec->name, "webp");
		free(out.bytes.p);
		snprintf(cmd, sizeof(cmd), "%spng", cmds[i]);
		CHECK_INT(kit_run(cmd, photo, len, &want, &out, &err), 0);
		free(out.bytes.p);
		db = kit_psnr(&want, &got);
		CHECK_MSG(db > 33, "%s: %.1f dB", cmd, db);
		image_release(&want);
		image_release(&got);
	}
	free(photo);
}

void
test_images_webp_cropped_and_damaged(void)
{
	struct picture_file out;
	struct ufop_err err;
	struct image in, im;
	struct bytes b;

	kit_quarters(&in, 160, 96);
	b = kit_encode(&codec_webp, &in, 90, 1);
	CHECK_INT(kit_run("crop/20,10,121,71/format/png", b.p, b.len, &im, &out,
	    &err), 0);
	CHECK_STR(kit_colour(&im, 0, 0), "white");
	CHECK_INT(im.plane[0].w, 20);
	image_release(&im);
	free(out.bytes.p);
	for (size_t n = 1; n < b.len; n++)
		CHECK_MSG(kit_try_decode(b.p, n) == UFOP_BAD_MEDIA,
		    "%zu of %zu bytes", n, b.len);
	free(b.p);
	image_release(&in);
}

/* No more colours than asked for, and what is transparent stays so. */
void
test_images_png_palette(void)
{
	for (int colours = 2; colours <= 256; colours *= 4)
		for (int alpha = 0; alpha < 2; alpha++) {
			struct encode_opts opts = { .colours = colours };
			struct image in, out;
			struct ufop_err err;
			struct bytes b;
			unsigned char seen[256][4];
			int n = 0;

			kit_noise(&in, IMAGE_RGB, alpha, 60, 40);
			CHECK(codec_png.encode(&b, &in, &opts, &err) == 0);
			kit_decode(&out, b.p, b.len);
			CHECK_INT(out.alpha, alpha);
			for (int i = 0; i < 60 * 40; i++) {
				const unsigned char *p = out.plane[0].p +
				    i * out.plane[0].n;
				int k = 0, w = out.plane[0].n;

				if (alpha)
					CHECK_INT(p[3], in.plane[0].p[i * 4 + 3] <
					    128 ? 0 : 255);
				while (k < n && memcmp(seen[k], p,
				    (size_t)w) != 0)
					k++;
				CHECK(k < 256);
				if (k == n)
					memcpy(seen[n++], p, (size_t)w);
			}
			CHECK_MSG(n <= colours && n >= 2, "%d colours of %d", n,
			    colours);
			if (colours == 128 && !alpha)
				CHECK(kit_psnr(&in, &out) > 20);
			image_release(&in);
			image_release(&out);
			free(b.p);
		}
}
