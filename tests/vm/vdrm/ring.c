/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "double.h"

struct vd_ring {
	struct vd_context *context;
	uint32_t idx;
	pthread_t thread;
	pthread_cond_t added;
	STAILQ_HEAD(, vd_job) jobs; /* under the context's lock */
};

static void do_job(struct vd_ring *ring, struct vd_job *job)
{
	if (job->run != NULL) {
		job->run(job);
		return;
	}
	vd_fence_done(ring->context->id, ring->idx, job->fence_id);
	free(job);
}

static void *run_ring(void *data)
{
	struct vd_ring *ring = data;
	struct vd_context *context = ring->context;
	pthread_mutex_lock(&context->lock);
	while (!context->ending || !STAILQ_EMPTY(&ring->jobs)) {
		struct vd_job *job = STAILQ_FIRST(&ring->jobs);
		if (job == NULL) {
			pthread_cond_wait(&ring->added, &context->lock);
			continue;
		}
		STAILQ_REMOVE_HEAD(&ring->jobs, link);
		while (job->gate > context->gate && !context->ending) {
			pthread_cond_wait(&context->changed, &context->lock);
		}
		pthread_mutex_unlock(&context->lock);
		do_job(ring, job);
		pthread_mutex_lock(&context->lock);
	}
	pthread_mutex_unlock(&context->lock);
	return NULL;
}

static struct vd_ring *start_ring(struct vd_context *context, uint32_t idx)
{
	struct vd_ring *ring = calloc(1, sizeof(*ring));
	if (ring == NULL) {
		return NULL;
	}
	ring->context = context;
	ring->idx = idx;
	STAILQ_INIT(&ring->jobs);
	pthread_cond_init(&ring->added, NULL);
	if (pthread_create(&ring->thread, NULL, run_ring, ring) != 0) {
		free(ring);
		return NULL;
	}
	return ring;
}

static void enqueue(struct vd_ring *ring, struct vd_job *job)
{
	pthread_mutex_lock(&ring->context->lock);
	STAILQ_INSERT_TAIL(&ring->jobs, job, link);
	pthread_cond_signal(&ring->added);
	pthread_mutex_unlock(&ring->context->lock);
}

int vd_ring_add(struct vd_context *context, uint32_t ring_idx, struct vd_job *job)
{
	if (ring_idx == 0 || ring_idx >= VD_MAX_RINGS) {
		return -EINVAL;
	}
	if (context->rings[ring_idx] == NULL) {
		context->rings[ring_idx] = start_ring(context, ring_idx);
	}
	if (context->rings[ring_idx] == NULL) {
		return -ENOMEM;
	}
	enqueue(context->rings[ring_idx], job);
	return 0;
}

int vd_ring_fence(struct vd_context *context, uint32_t ring_idx, uint64_t fence_id)
{
	struct vd_job *job;
	if (ring_idx >= VD_MAX_RINGS || context->rings[ring_idx] == NULL) {
		return -EINVAL;
	}
	job = calloc(1, sizeof(*job));
	if (job == NULL) {
		return -ENOMEM;
	}
	job->fence_id = fence_id;
	enqueue(context->rings[ring_idx], job);
	return 0;
}

void vd_open_gate(struct vd_context *context, uint32_t value)
{
	pthread_mutex_lock(&context->lock);
	context->gate = value > context->gate ? value : context->gate;
	pthread_cond_broadcast(&context->changed);
	pthread_mutex_unlock(&context->lock);
}

void vd_rings_finish(struct vd_context *context)
{
	pthread_mutex_lock(&context->lock);
	context->ending = true;
	pthread_cond_broadcast(&context->changed);
	for (size_t i = 0; i < VD_MAX_RINGS; i++) {
		if (context->rings[i] != NULL) {
			pthread_cond_signal(&context->rings[i]->added);
		}
	}
	pthread_mutex_unlock(&context->lock);
	for (size_t i = 0; i < VD_MAX_RINGS; i++) {
		if (context->rings[i] != NULL) {
			pthread_join(context->rings[i]->thread, NULL);
			pthread_cond_destroy(&context->rings[i]->added);
			free(context->rings[i]);
			context->rings[i] = NULL;
		}
	}
}
