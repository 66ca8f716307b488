/* An S3 server that throws away what it is sent, so that clients are compared and not servers.
 *
 *     cc -O2 -pthread -o s3_sink s3_sink.c -lssl -lcrypto && ./s3_sink 9000 [CERTIFICATE]
 *
 * With a file that holds a certificate and its key, it speaks TLS.
 *
 * It listens on 127.0.0.1 only, believes every signature, and knows as much of S3 as an upload needs: PUT of an
 * object, multipart uploads, HEAD, GET, DELETE and listings. Of objects it remembers the size, and the bytes
 * of those that are small, such as manifests. Bodies are dropped inside the kernel (MSG_TRUNC), without a copy;
 * those that came through TLS are decrypted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OBJECTS = 4096, SMALL = 1 << 20, HEAD = 1 << 16, URL = 2048, CHUNK = 1 << 20 };

struct object {
    char key[URL];
    long long size;    /* of the object; -1 where there is none */
    long long uploaded; /* so far, by the multipart upload under way */
    char *bytes;       /* of a small object, or NULL */
};

struct request {
    char method[8], url[URL], key[URL];
    long long length;
    int chunked, expects;
};

struct connection {
    int socket, have;
    SSL *tls; /* NULL without */
    char head[HEAD + 1];
};

static struct object objects[OBJECTS];
static int known;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Call it with the lock held. */
static struct object *object_of(const char *key) {
    for (int i = 0; i < known; i++)
        if (!strcmp(objects[i].key, key)) return &objects[i];
    if (known == OBJECTS) return NULL;
    struct object *made = &objects[known++];
    snprintf(made->key, URL, "%s", key);
    made->size = -1;
    return made;
}

static ssize_t receive(struct connection *c, void *data, size_t size, int flags) {
    return c->tls ? SSL_read(c->tls, data, size) : recv(c->socket, data, size, flags);
}

static int send_all(struct connection *c, const char *data, size_t size) {
    while (size) {
        ssize_t sent = c->tls ? SSL_write(c->tls, data, size) : send(c->socket, data, size, MSG_NOSIGNAL);
        if (sent <= 0) return -1;
        data += sent, size -= sent;
    }
    return 0;
}

static int drop(struct connection *c, long long size) {
    static _Thread_local char nowhere[CHUNK];
    while (size > 0) {
        ssize_t got = receive(c, nowhere, size > CHUNK ? CHUNK : size, MSG_TRUNC);
        if (got <= 0) return -1;
        size -= got;
    }
    return 0;
}

/* Take bytes of the body: those that came with the head first. With a place to keep them, or NULL. */
static int take(struct connection *c, long long size, char *kept) {
    long long here = size < c->have ? size : c->have;
    if (kept) memcpy(kept, c->head, here);
    memmove(c->head, c->head + here, c->have -= here);
    if (!kept) return drop(c, size - here);
    for (long long at = here; at < size;) {
        ssize_t got = receive(c, kept + at, size - at, 0);
        if (got <= 0) return -1;
        at += got;
    }
    return 0;
}

/* Read until the marker is there; return where it ends, or -1. */
static int read_until(struct connection *c, const char *marker) {
    for (;;) {
        char *found = memmem(c->head, c->have, marker, strlen(marker));
        if (found) return found - c->head + strlen(marker);
        if (c->have == HEAD) return -1;
        ssize_t got = receive(c, c->head + c->have, HEAD - c->have, 0);
        if (got <= 0) return -1;
        c->have += got;
    }
}

static long long chunked_body(struct connection *c) {
    for (long long all = 0;;) {
        int line = read_until(c, "\r\n");
        if (line < 0) return -1;
        c->head[c->have] = 0;
        long long size = strtoll(c->head, NULL, 16);
        if (take(c, line, NULL) || take(c, size, NULL)) return -1;
        do { /* the end of the chunk, or trailers up to an empty line */
            if ((line = read_until(c, "\r\n")) < 0 || take(c, line, NULL)) return -1;
        } while (!size && line > 2);
        if (!size) return all;
        all += size;
    }
}

/* What a signed, chunked body (aws-chunked) holds without its framing. */
static long long decoded_length(const char *head) {
    const char *found = strcasestr(head, "\r\nx-amz-decoded-content-length:");
    return found ? atoll(strchr(found + 2, ':') + 1) : -1;
}

static int read_request(struct connection *c, struct request *r, long long *decoded) {
    int end = read_until(c, "\r\n\r\n");
    if (end < 0) return -1;
    char first = c->head[end];
    c->head[end] = 0;
    memset(r, 0, sizeof *r);
    if (sscanf(c->head, "%7s %2047s", r->method, r->url) != 2) return -1;
    snprintf(r->key, URL, "%.*s", (int)strcspn(r->url, "?"), r->url);
    const char *length = strcasestr(c->head, "\r\ncontent-length:");
    r->length = length ? atoll(strchr(length, ':') + 1) : 0;
    r->chunked = strcasestr(c->head, "\r\ntransfer-encoding: chunked") != NULL;
    r->expects = strcasestr(c->head, "100-continue") != NULL;
    *decoded = decoded_length(c->head);
    c->head[end] = first;
    memmove(c->head, c->head + end, c->have -= end);
    return 0;
}

static int reply(struct connection *c, const char *status, const char *type, long long length, const char *body, int with_body) {
    char head[512];
    int size = snprintf(head, sizeof head,
                        "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %lld\r\nServer: sink\r\n"
                        "ETag: \"d41d8cd98f00b204e9800998ecf8427e\"\r\nx-amz-request-id: 1\r\n"
                        "Last-Modified: Mon, 23 Nov 2026 02:00:00 GMT\r\n\r\n",
                        status, type, length);
    if (send_all(c, head, size)) return -1;
    return with_body ? send_all(c, body, length) : 0;
}

static int reply_xml(struct connection *c, const char *status, const char *body) {
    return reply(c, status, "application/xml", strlen(body), body, 1);
}

static int put(struct connection *c, struct request *r, long long decoded) {
    int part = strstr(r->url, "partNumber=") != NULL;
    char *kept = !part && !r->chunked && r->length <= SMALL ? malloc(r->length + 1) : NULL;
    long long size = r->chunked ? chunked_body(c) : r->length;
    if (size < 0 || (!r->chunked && take(c, size, kept))) return -1;
    if (decoded >= 0) size = decoded;
    pthread_mutex_lock(&lock);
    struct object *object = object_of(r->key);
    if (object && part) object->uploaded += size;
    if (object && !part) object->size = size, free(object->bytes), object->bytes = kept;
    pthread_mutex_unlock(&lock);
    return reply(c, "200 OK", "text/plain", 0, "", 0);
}

static int post(struct connection *c, struct request *r) {
    if (take(c, r->length, NULL)) return -1;
    int begins = strstr(r->url, "?uploads") != NULL;
    pthread_mutex_lock(&lock);
    struct object *object = object_of(r->key);
    if (object && !begins) object->size = object->uploaded;
    if (object) object->uploaded = 0;
    pthread_mutex_unlock(&lock);
    return reply_xml(c, "200 OK",
                     begins ? "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>1</UploadId>"
                              "</InitiateMultipartUploadResult>"
                            : "<CompleteMultipartUploadResult><Location>l</Location><Bucket>b</Bucket><Key>k</Key>"
                              "<ETag>\"d41d8cd98f00b204e9800998ecf8427e-1\"</ETag></CompleteMultipartUploadResult>");
}

/* The prefix of a listing, percent signs undone. */
static void read_prefix(const char *url, char *prefix) {
    const char *from = strstr(url, "prefix=");
    char *to = prefix;
    for (from = from ? from + 7 : ""; *from && *from != '&'; to++) {
        unsigned byte = *from;
        if (*from == '%' && sscanf(from + 1, "%2x", &byte) == 1) from += 2;
        *to = byte, from++;
    }
    *to = 0;
}

/* All objects with the prefix, without folders: enough for who looks at what was just written. */
static int list(struct connection *c, struct request *r) {
    char wanted[URL], *body;
    size_t size, bucket = strlen(r->key);
    read_prefix(r->url, wanted);
    FILE *out = open_memstream(&body, &size);
    fputs("<ListBucketResult><Name>b</Name><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>", out);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < known; i++) {
        const char *key = objects[i].key + bucket;
        if (objects[i].size < 0 || strncmp(objects[i].key, r->key, bucket) || *key++ != '/') continue;
        if (strncmp(key, wanted, strlen(wanted))) continue;
        fprintf(out, "<Contents><Key>%s</Key><Size>%lld</Size><ETag>\"e\"</ETag>"
                     "<LastModified>2026-11-23T02:00:00.000Z</LastModified></Contents>", key, objects[i].size);
    }
    pthread_mutex_unlock(&lock);
    fputs("</ListBucketResult>", out);
    fclose(out);
    int failed = reply_xml(c, "200 OK", body);
    free(body);
    return failed;
}

static int get(struct connection *c, struct request *r) {
    if (strstr(r->url, "list-type=") || strstr(r->url, "delimiter=")) return list(c, r);
    pthread_mutex_lock(&lock);
    struct object *object = object_of(r->key);
    long long size = object ? object->size : -1;
    const char *bytes = object ? object->bytes : NULL; /* of a key that is put again, this may be freed: do not */
    pthread_mutex_unlock(&lock);
    int head = !strcmp(r->method, "HEAD");
    if (size < 0 || (!head && size && !bytes))
        return head ? reply(c, "404 Not Found", "application/xml", 0, "", 0)
                    : reply_xml(c, "404 Not Found", "<Error><Code>NoSuchKey</Code></Error>");
    return reply(c, "200 OK", "application/octet-stream", size, bytes, !head);
}

static int delete(struct connection *c, struct request *r) {
    pthread_mutex_lock(&lock);
    struct object *object = object_of(r->key);
    if (object) object->size = -1, object->uploaded = 0;
    pthread_mutex_unlock(&lock);
    return reply(c, "204 No Content", "text/plain", 0, "", 0);
}

static void end(struct connection *c) {
    SSL_free(c->tls);
    close(c->socket);
    free(c);
}

static void *serve(void *argument) {
    struct connection *c = argument;
    int one = 1;
    struct request r;
    long long decoded;
    setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int ready = !c->tls || (SSL_set_fd(c->tls, c->socket) && SSL_accept(c->tls) > 0);
    while (ready && !read_request(c, &r, &decoded)) {
        if (r.expects && !c->have && send_all(c, "HTTP/1.1 100 Continue\r\n\r\n", 25)) break;
        int failed = !strcmp(r.method, "PUT")      ? put(c, &r, decoded)
                     : !strcmp(r.method, "POST")   ? post(c, &r)
                     : !strcmp(r.method, "DELETE") ? delete(c, &r)
                                                   : get(c, &r);
        if (failed) break;
    }
    end(c);
    return NULL;
}

/* What TLS needs, NULL without a certificate. */
static SSL_CTX *read_certificate(const char *file) {
    SSL_CTX *context = file ? SSL_CTX_new(TLS_server_method()) : NULL;
    if (context && (SSL_CTX_use_certificate_chain_file(context, file) != 1 ||
                    SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM) != 1)) {
        fprintf(stderr, "s3_sink: %s holds no certificate with its key\n", file);
        exit(1);
    }
    if (context) SSL_CTX_set_read_ahead(context, 1), SSL_CTX_set_default_read_buffer_len(context, CHUNK);
    return context;
}

int main(int count, char **words) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    here.sin_port = htons(count > 1 ? atoi(words[1]) : 9000);
    SSL_CTX *context = read_certificate(count > 2 ? words[2] : NULL);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 256)) {
        perror("s3_sink");
        return 1;
    }
    for (;;) {
        struct connection *c = calloc(1, sizeof *c);
        if (!c || (c->socket = accept(listener, NULL, NULL)) < 0) {
            free(c);
            continue;
        }
        c->tls = context ? SSL_new(context) : NULL;
        pthread_t thread;
        if ((context && !c->tls) || pthread_create(&thread, NULL, serve, c))
            end(c);
        else
            pthread_detach(thread);
    }
}
