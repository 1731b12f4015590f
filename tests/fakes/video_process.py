"""A video worker as a process of its own, to be killed: `python video_process.py CONTROL RECORDINGS`."""

import asyncio
import sys
from pathlib import Path

import structlog

from bridges.transport.port import PortConfig
from bridges.video.worker import VideoWorkerConfig, run_video_worker

if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    port = PortConfig(consent_s=7.0)
    config = VideoWorkerConfig(
        name="v0", control=sys.argv[1], webrtc=port, recordings=Path(sys.argv[2])
    )
    asyncio.run(run_video_worker(config))
