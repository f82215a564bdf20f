//! Frames of the control socket and of a job's socket: what is read of one is written again as the same message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use soulbox_protocol::{FRAME_LEN, Frame, HostMessage, Job, MAX_CGROUP_FDS, SandboxMessage, ZygoteMessage};

fuzz_target!(|bytes: &[u8]| {
    let mut frame: Frame = [0; FRAME_LEN];
    let len = bytes.len().min(FRAME_LEN);
    frame[..len].copy_from_slice(&bytes[..len]);

    let mut takers = 0;
    if let Ok(message) = HostMessage::decode(&frame) {
        takers += 1;
        assert_eq!(HostMessage::decode(&message.encode()), Ok(message));
        if let HostMessage::Spawn { id, cgroup_fds, .. } = message {
            assert!(id != 0 && usize::from(cgroup_fds) <= MAX_CGROUP_FDS);
        }
    }
    if let Ok(message) = ZygoteMessage::decode(&frame) {
        takers += 1;
        assert_eq!(ZygoteMessage::decode(&message.encode()), Ok(message));
    }
    if let Ok(job) = Job::decode(&frame) {
        takers += 1;
        assert_eq!(Job::decode(&job.encode()), Ok(job));
    }
    if let Ok(message) = SandboxMessage::decode(&frame) {
        takers += 1;
        assert_eq!(SandboxMessage::decode(&message.encode()), Ok(message));
        if let SandboxMessage::SetupFailed(error) = message {
            assert!(!error.to_string().is_empty());
        }
    }
    assert!(takers <= 1, "a frame is a message of one socket and one direction alone");
});
