// SPDX-License-Identifier: MIT
// A segment as one Matroska or fragmented MP4 file, by libavformat. Each frame becomes a cluster or
// fragment of its own, handed to the kernel before its sidecar line is written: a file cut after
// any of them is readable. The JPEG's bytes are the last ones of its cluster or fragment.
#include "tools/rec/segment.h"

#ifdef HAVE_AVFORMAT

#include <errno.h>
#include <fcntl.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { IO_BYTES = 65536, GUESSED_DURATION_MS = 33 };

struct av_media {
    struct rec_media base; /**< first member */
    AVFormatContext *muxer;
    AVPacket *packet;
    int error; /**< of the last failed write, negative errno */
};

struct av_kind {
    const char *name, *movflags;
    uint64_t tick_ns; /**< what the container can tell apart */
};
/** Matroska's muxer counts in milliseconds, whatever one asks for. */
static const struct av_kind matroska = {"matroska", NULL, 1000000};
static const struct av_kind mp4 = {"mp4", "frag_custom+empty_moov+default_base_moof", 1000};
static const struct rec_media_ops matroska_ops, mp4_ops;

#if LIBAVFORMAT_VERSION_MAJOR >= 61
static int on_write(void *user, const uint8_t *bytes, int count)
#else
static int on_write(void *user, uint8_t *bytes, int count)
#endif
{
    struct av_media *media = user;
    for (int at = 0; at < count;) {
        ssize_t done = write(media->base.fd, bytes + at, (size_t)(count - at));
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            media->error = done < 0 ? -errno : -EIO;
            return AVERROR(EIO);
        }
        at += (int)done;
    }
    return count;
}

static int64_t on_seek(void *user, int64_t offset, int whence)
{
    struct av_media *media = user;
    if (whence == AVSEEK_SIZE)
        return AVERROR(ENOSYS);
    off_t at = lseek(media->base.fd, offset, whence & ~AVSEEK_FORCE);
    return at < 0 ? AVERROR(errno) : at;
}

/** What went wrong as -errno: the write's own error, which libavformat keeps until later. */
static int result_of(const struct av_media *media, int result)
{
    if (media->error < 0)
        return media->error;
    if (media->muxer->pb->error < 0)
        return -EIO;
    return result >= 0 ? 0 : result == AVERROR(ENOMEM) ? -ENOMEM : -EIO;
}

static void set_metadata(AVFormatContext *muxer, const char *title, uint64_t realtime_ns)
{
    char text[64];
    time_t seconds = (time_t)(realtime_ns / NS_PER_S);
    struct tm date;
    gmtime_r(&seconds, &date);
    size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &date);
    snprintf(text + length, sizeof text - length, ".%06uZ",
             (unsigned)(realtime_ns % NS_PER_S / 1000));
    av_dict_set(&muxer->metadata, "creation_time", text, 0);
    av_dict_set(&muxer->metadata, "title", title, 0);
}

static int write_header(struct av_media *media, const struct av_kind *kind, const char *title,
                        const struct pinhole_frame *first)
{
    AVFormatContext *muxer = NULL;
    if (avformat_alloc_output_context2(&muxer, NULL, kind->name, NULL) < 0)
        return -ENOSYS; // a libavformat built without this muxer
    media->muxer = muxer;
    media->packet = av_packet_alloc();
    unsigned char *buffer = av_malloc(IO_BYTES);
    if (buffer != NULL)
        muxer->pb = avio_alloc_context(buffer, IO_BYTES, 1, media, NULL, on_write, on_seek);
    if (muxer->pb == NULL)
        av_free(buffer);
    AVStream *stream = avformat_new_stream(muxer, NULL);
    if (stream == NULL || media->packet == NULL || muxer->pb == NULL)
        return -ENOMEM;
    muxer->flags |= AVFMT_FLAG_CUSTOM_IO;
    muxer->pb->direct = 1; // a picture goes to the kernel from where it lies, in one write
    stream->codecpar->codec_type = AVMEDIA_TYPE_VIDEO;
    stream->codecpar->codec_id = AV_CODEC_ID_MJPEG;
    stream->codecpar->width = first->width;
    stream->codecpar->height = first->height;
    // JPEG has the full range. Players take grey pictures for limited range if nobody says so.
    stream->codecpar->color_range = AVCOL_RANGE_JPEG;
    if (kind == &mp4) { // whose muxer takes the range only with the rest: what JFIF says
        stream->codecpar->color_primaries = AVCOL_PRI_BT709;
        stream->codecpar->color_trc = AVCOL_TRC_IEC61966_2_1;
        stream->codecpar->color_space = AVCOL_SPC_BT470BG;
    }
    stream->time_base = (AVRational){1, (int)(NS_PER_S / kind->tick_ns)};
    set_metadata(muxer, title, first->realtime_ns);

    AVDictionary *options = NULL;
    if (kind->movflags != NULL)
        av_dict_set(&options, "movflags", kind->movflags, 0);
    else // the sidecar has each picture's checksum, and one is enough
        av_dict_set(&options, "write_crc32", "0", 0);
    int result = avformat_write_header(muxer, &options);
    av_dict_free(&options);
    avio_flush(muxer->pb);
    return result_of(media, result);
}

static void close_file(struct rec_media *base)
{
    struct av_media *media = (struct av_media *)(void *)base;
    if (media->muxer != NULL && media->muxer->pb != NULL) {
        // Freed without a flush: what it holds is no whole frame.
        av_freep(&media->muxer->pb->buffer);
        avio_context_free(&media->muxer->pb);
    }
    avformat_free_context(media->muxer);
    av_packet_free(&media->packet);
    if (!base->is_finished)
        (void)!ftruncate(base->fd, (off_t)base->good_bytes);
    close(base->fd);
    free(media);
}

static int open_file(struct rec_media **out, int folder_fd, const char *name, const char *title,
                     const struct pinhole_frame *first, const struct rec_media_ops *ops,
                     const struct av_kind *kind)
{
    struct av_media *media = calloc(1, sizeof *media);
    if (media == NULL)
        return -ENOMEM;
    media->base.ops = ops;
    media->base.first_timestamp_ns = first->timestamp_ns;
    media->base.fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (media->base.fd < 0) {
        int error = errno;
        free(media);
        return -error;
    }
    int error = write_header(media, kind, title, first);
    if (error < 0) {
        close_file(&media->base);
        unlinkat(folder_fd, name, 0);
        return error;
    }
    media->base.good_bytes = (uint64_t)avio_tell(media->muxer->pb);
    media->base.occupied_bytes = rec_occupied(media->base.good_bytes);
    *out = &media->base;
    return 0;
}

static int open_matroska(struct rec_media **out, int folder_fd, const char *name, const char *title,
                         const struct pinhole_frame *first)
{
    return open_file(out, folder_fd, name, title, first, &matroska_ops, &matroska);
}

static int open_mp4(struct rec_media **out, int folder_fd, const char *name, const char *title,
                    const struct pinhole_frame *first)
{
    return open_file(out, folder_fd, name, title, first, &mp4_ops, &mp4);
}

static int write_frame(struct rec_media *base, const struct pinhole_frame *frame,
                       struct rec_place *place)
{
    struct av_media *media = (struct av_media *)(void *)base;
    AVPacket *packet = media->packet;
    const bool is_mp4 = base->ops == &mp4_ops;
    const unsigned ticks_per_s = (unsigned)media->muxer->streams[0]->time_base.den;
    const uint64_t tick_ns = NS_PER_S / ticks_per_s;
    *place = (struct rec_place){.pts_ns = rec_media_pts(base, frame->timestamp_ns, tick_ns)};

    av_packet_unref(packet);
    packet->data = (uint8_t *)(uintptr_t)frame->jpeg; // only read
    packet->size = (int)frame->jpeg_bytes;
    packet->flags = AV_PKT_FLAG_KEY;
    packet->pts = packet->dts = (int64_t)(place->pts_ns / tick_ns);
    // The last frame ends somewhere: without its duration players count one frame less.
    const uint64_t duration_us =
        frame->frame_duration_us != 0 ? frame->frame_duration_us : GUESSED_DURATION_MS * 1000;
    packet->duration = (int64_t)(duration_us * 1000 / tick_ns);
    // A frame need not end where the next begins.
    if (is_mp4)
        av_opt_set(media->muxer->priv_data, "movflags", "+frag_discont", 0);
    int result = av_write_frame(media->muxer, packet);
    if (result >= 0)
        result = av_write_frame(media->muxer, NULL); // ends the cluster or fragment
    avio_flush(media->muxer->pb);
    result = result_of(media, result);
    if (result < 0)
        return result;
    place->end = (uint64_t)avio_tell(media->muxer->pb);
    place->offset = place->end - frame->jpeg_bytes;
    base->last_pts_ns = place->pts_ns;
    base->before_bytes = base->good_bytes;
    base->good_bytes = place->end;
    base->occupied_bytes = rec_occupied(place->end);
    base->frames++;
    return 0;
}

/** The muxer has the frame in its index: only closing may follow. */
static int undo(struct rec_media *base, const struct rec_place *place)
{
    (void)place;
    base->frames--;
    base->good_bytes = base->before_bytes;
    base->occupied_bytes = rec_occupied(base->good_bytes);
    return 0;
}

static int finish(struct rec_media *base)
{
    struct av_media *media = (struct av_media *)(void *)base;
    int result = av_write_trailer(media->muxer);
    avio_flush(media->muxer->pb);
    result = result_of(media, result);
    base->is_finished = result == 0;
    if (fsync(base->fd) < 0 && result == 0)
        result = -errno;
    return result;
}

static int sync_file(struct rec_media *base)
{
    return fdatasync(base->fd) < 0 ? -errno : 0;
}

static const struct rec_media_ops matroska_ops = {".mkv", open_matroska, write_frame, undo,
                                                  finish, sync_file,     close_file};
static const struct rec_media_ops mp4_ops = {".mp4", open_mp4,  write_frame, undo,
                                             finish, sync_file, close_file};
static const char *library_version(void)
{
    static char text[32];
    unsigned v = avformat_version();
    snprintf(text, sizeof text, "%u.%u.%u", v >> 16, v >> 8 & 255, v & 255);
    return text;
}

/** The plug-in's one symbol. */
extern const struct rec_avformat rec_avformat;
__attribute__((visibility("default")))
const struct rec_avformat rec_avformat = {&matroska_ops, &mp4_ops, library_version};

#endif
