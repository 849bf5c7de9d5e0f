// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numbers of the protocol, each in its one place.

/// Bytes of a frame's header.
pub const HEADER_LEN: usize = 8;
/// Bytes of a request id on the wire, the closing NUL included.
pub const IDENT_LEN: usize = 32;
/// Bytes of a target or source field in a trigger of version 3 or 4.
pub const TARGET_LEN: usize = 64;
/// Bytes of the service field in a trigger of version 2.
pub const SERVICE_V2_LEN: usize = 64;
/// Bytes of the target field in a trigger of version 2.
pub const TARGET_V2_LEN: usize = 32;
/// The longest service text in a trigger of version 3 or 4, the closing NUL included.
pub const SERVICE_FIELD_MAX: usize = 65000;
/// The longest body of an exec message that a daemon takes from a client in dom0.
pub const EXEC_BODY_MAX: usize = 65535;
/// The size of each ring of the control vchan: a message whose body is larger cannot reach a
/// peer that sends and receives whole messages.
pub const CONTROL_RING: usize = 4096;
/// The size of each ring of a data vchan.
pub const DATA_RING: usize = 65536;
/// The largest data message at data version 2.
pub const DATA_MAX_V2: usize = 4096;
/// The largest data message from data version 3 on.
pub const DATA_MAX_V3: usize = 65536;
/// The first port that a daemon gives out for data.
pub const FIRST_DATA_PORT: u32 = 513;
/// How many ports a daemon gives out. Other daemons stop at 256; agents take any port.
pub const PORTS: u32 = 4096;
/// The longest answer of the policy daemon.
pub const POLICY_ANSWER_MAX: usize = 4095;
