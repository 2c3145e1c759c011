/* SPDX-License-Identifier: MIT
 *
 * Every size and count that a peer may choose, with its limit. A peer that asks for more gets an
 * error and loses its own connection or request, never anybody else's.
 */
#ifndef BR_LIMITS_H
#define BR_LIMITS_H

/* Wayland connections */
#define BR_LIMIT_CLIENTS 512		     /* clients of one proxy; contexts of one device */
#define BR_RESERVED_FDS 32		     /* of each program: not for new clients */
#define BR_LIMIT_OBJECTS 65536		     /* live and zombie objects of one client */
#define BR_LIMIT_MSG_BYTES 65532	     /* one Wayland message: its size field has 16 bits */
#define BR_LIMIT_IN_BYTES (128 * 1024)	     /* read but not yet relayed, per direction */
#define BR_LIMIT_IN_FDS 128		     /* the same, in fds */
#define BR_LIMIT_OUT_BYTES (4 * 1024 * 1024) /* queued towards a peer that does not read */
#define BR_LIMIT_OUT_FDS 512
#define BR_HIGH_WATER_BYTES (256 * 1024) /* queued bytes above which the source is not read */
#define BR_HIGH_WATER_FDS 64
#define BR_LIMIT_GLOBALS 1024	  /* announced by one compositor at a time */
#define BR_LIMIT_TITLE_BYTES 1024 /* titles and app ids, marks included */

/* Shared memory */
#define BR_LIMIT_POOL_BYTES (1u << 30)	/* one wl_shm pool */
#define BR_LIMIT_FILE_BYTES (16u << 20) /* keymap, format table, icc profile */
#define BR_LIMIT_SHM_FORMATS 256	/* of a compositor's wl_shm; more are not used */
#define BR_LIMIT_DAMAGE_RECTS 64	/* kept per buffer; more become their bounding box */

#define BR_LIMIT_KEPT_FDS 256		 /* of a client's dma-bufs that are no buffers yet */
#define BR_LIMIT_COPIED_BUFFERS 256	 /* of one client that the host copies */
#define BR_LIMIT_COPIED_BYTES (1u << 30) /* of their copies */
#define BR_LIMIT_SURFACES 1024		 /* of one client whose damage the host follows */

/* X11 programs */
#define BR_LIMIT_X_WINDOWS 4096		   /* children of the root window */
#define BR_LIMIT_X_PROPERTY_BYTES 4096	   /* read of a property of a window's */
#define BR_LIMIT_X_TRANSFERS 64		   /* of selections at a time, both ways */
#define BR_LIMIT_X_MIMES 64		   /* kinds of data of one selection; more are left out */
#define BR_LIMIT_MIME_BYTES 255		   /* a longer name is left out */
#define BR_LIMIT_X_CHUNK_BYTES (64 * 1024) /* of a selection: held, or in a property of ours */

/* Explicit synchronisation of one client */
#define BR_LIMIT_TIMELINES 4096	    /* imported */
#define BR_LIMIT_SYNC_RELEASES 1024 /* commits whose buffers the host has */

/* Cursors that the proxy draws */
#define BR_LIMIT_CURSOR_SCALE 4		  /* of an output; larger ones enlarge the cursor */
#define BR_LIMIT_CURSOR_SIZE 256	  /* pixels at scale 1 that the user may want */
#define BR_LIMIT_CURSOR_IMAGES 128	  /* of one cursor; more are not shown */
#define BR_LIMIT_CURSOR_BYTES (16u << 20) /* of one cursor's images */

#define BR_LIMIT_WAIT_SECONDS 86400 /* for another compositor */

/* The policy file */
#define BR_LIMIT_POLICY_BYTES (64 * 1024)
#define BR_LIMIT_POLICY_LINES 1024
#define BR_LIMIT_POLICY_LINE_BYTES 1024

/* Of one client, said again to the next compositor */
#define BR_LIMIT_SAID_BYTES (8u << 20)
#define BR_LIMIT_SAID_FDS 256 /* of its pools and dma-bufs */

/* The device */
#define BR_LIMIT_RESOURCES 65536		/* of one device */
#define BR_LIMIT_CTX_RESOURCES 16384		/* attached to one context */
#define BR_LIMIT_CTX_MAPS 2048			/* that the VMM maps; QEMU looks at all for each */
#define BR_LIMIT_BLOB_BYTES (1ull << 32)	/* one blob */
#define BR_LIMIT_DEVICE_BYTES (16ull << 30)	/* host memory for the blobs of one device */
#define BR_LIMIT_HELD_BYTES (4ull << 30)	/* of it that the compositor has for one client */
#define BR_LIMIT_ITEMS 1024			/* items of one context that wait for the guest */
#define BR_LIMIT_PIPES 256			/* open pipes of one context */
#define BR_LIMIT_PIPE_QUEUE_BYTES (1024 * 1024) /* queued for one pipe on the host */
#define BR_LIMIT_CTX_PIPE_BYTES (64u << 20)	/* queued for all pipes of one context */
#define BR_LIMIT_FENCES 4096			/* pending fences of one context */
#define BR_LIMIT_IMAGE_REQS 4096		/* distinct image requirements of one context */
#define BR_LIMIT_DEFERRED 512			/* requests that wait for a worker's memory */
#define BR_LIMIT_CTX_DEFERRED 256		/* of them for one context, or its resources */
#define BR_LIMIT_DEFERRED_BYTES (32u << 20)	/* of them */
#define BR_LIMIT_WORKER_QUEUE_BYTES (64u << 20) /* queued for a GPU worker that does not read */
#define BR_LIMIT_SESSIONS 16			/* devices (socket connections) of one host */

/* vhost-user */
#define BR_LIMIT_WINDOW_BYTES (8ull << 30)   /* host-visible window */
#define BR_LIMIT_WINDOW_MAPS 8192	     /* in it; KVM has 32,764 slots for all of a machine */
#define BR_LIMIT_ARENA_BYTES (1ull << 30)    /* of one file: wl_shm counts in 31 bits */
#define BR_LIMIT_VRING_SIZE 1024	     /* descriptors of one virtqueue */
#define BR_LIMIT_CHAIN_SEGMENTS 2048	     /* of one descriptor chain, indirect ones included */
#define BR_LIMIT_CONTROL_BYTES (4112u << 10) /* one control command: the pages of 1 GiB, and more */
#define BR_LIMIT_MEM_ENTRIES 262144	     /* memory entries of one resource: pages of 1 GiB */
#define BR_LIMIT_TRANSFER_BYTES (64u << 20)  /* copied by one transfer command */
#define BR_LIMIT_TRANSFER_ROWS 32768	     /* of it */
#define BR_LIMIT_DEVICE_MEM_RUNS 4194304     /* of all resources, neighbours joined */

/* Flow control windows */
#define BR_CHANNEL_WINDOW_BYTES                                                                    \
	(96 * 1024) /* host to guest, per client; less than BR_LIMIT_IN_BYTES */
#define BR_SEND_WINDOW_BYTES (256 * 1024) /* guest to host, unfenced, per client */
#define BR_PIPE_WINDOW_BYTES (256 * 1024) /* per pipe, each way */
#define BR_LIMIT_CREDIT_BYTES (1u << 30)  /* granted and unused; what is granted beyond is lost */

#endif
