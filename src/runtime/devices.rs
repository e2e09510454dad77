//! Which device nodes the processes of a container may make and open: the rule list, and the same list as an eBPF
//! program for cgroup v2. Pure; `runtime::cgroup` hands either form to the kernel.

use crate::sys::bpf::Insn;

/// What is done with a device node, as `linux/bpf.h` counts it (`BPF_DEVCG_ACC_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// mknod(2).
    pub const MKNOD: Self = Self(1);
    /// open(2) for reading.
    pub const READ: Self = Self(2);
    /// open(2) for writing.
    pub const WRITE: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Whether all of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }
}

impl std::ops::BitOr for Access {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The two kinds of device nodes, as `linux/bpf.h` counts them (`BPF_DEVCG_DEV_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A block device.
    Block = 1,
    /// A character device.
    Char = 2,
}

/// One thing that is allowed; what no rule allows is refused. An access is allowed if one rule allows all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Block or character.
    pub kind: Kind,
    /// The major number; `None` is every one.
    pub major: Option<u32>,
    /// The minor number; `None` is every one.
    pub minor: Option<u32>,
    /// What may be done.
    pub access: Access,
}

const fn may_make(kind: Kind) -> Rule {
    Rule { kind, major: None, minor: None, access: Access::MKNOD }
}

const fn may_use(major: u32, minor: Option<u32>) -> Rule {
    Rule { kind: Kind::Char, major: Some(major), minor, access: Access::ALL }
}

/// What a container may do that is not privileged. Docker's list: its own defaults (moby, `oci/defaults.go`) and those
/// that runc adds (`libcontainer/specconv`), without /dev/net/tun, which newer runc leaves out too, and without 5:1, the
/// host's console: a container's own is a terminal of its devpts.
pub const DEFAULT: [Rule; 10] = [
    may_make(Kind::Char), // a node alone is harmless: to open it needs a rule of its own
    may_make(Kind::Block),
    may_use(1, Some(3)), // null
    may_use(1, Some(5)), // zero
    may_use(1, Some(7)), // full
    may_use(1, Some(8)), // random
    may_use(1, Some(9)), // urandom
    may_use(5, Some(0)), // tty
    may_use(5, Some(2)), // ptmx
    may_use(136, None),  // pts/*
];

/// What berth's own processes beside the containers of a task may do: the same, and open the loop devices of the task's disks.
/// On cgroup v2 a whole process moves, the thread of a worker that opens them included.
pub fn own() -> Vec<Rule> {
    let loops = Rule { kind: Kind::Block, major: Some(7), minor: None, access: Access::ALL };
    let control = may_use(10, Some(237));
    DEFAULT.into_iter().chain([loops, control]).collect()
}

/// What a privileged container may do.
pub const EVERYTHING: [Rule; 2] = [
    Rule { kind: Kind::Char, major: None, minor: None, access: Access::ALL },
    Rule { kind: Kind::Block, major: None, minor: None, access: Access::ALL },
];

/// The rule list as a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`: it returns 1 if a rule allows the access of the
/// `struct bpf_cgroup_dev_ctx` that it is given, else 0.
pub fn program(rules: &[Rule]) -> Vec<Insn> {
    let mut program = vec![
        load(KIND, 0), // access_type: the access in the upper half, the kind in the lower
        copy(ACCESS, KIND),
        constant(ALU32_RSH, ACCESS, 16),
        constant(ALU32_AND, KIND, 0xffff),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    rules.iter().for_each(|rule| program.extend(allow(rule)));
    program.extend(answer(0));
    program
}

/// A rule: jumps over itself unless all of it holds, else answers 1.
fn allow(rule: &Rule) -> Vec<Insn> {
    // A jump's distance is known only once the rule is complete: it is set below.
    let mut insns = vec![constant(JNE32, KIND, rule.kind as u32)];
    insns.extend(rule.major.map(|major| constant(JNE32, MAJOR, major)));
    insns.extend(rule.minor.map(|minor| constant(JNE32, MINOR, minor)));
    if rule.access != Access::ALL {
        insns.push(copy(SCRATCH, ACCESS));
        insns.push(constant(ALU32_AND, SCRATCH, !u32::from(rule.access.0)));
        insns.push(constant(JNE32, SCRATCH, 0));
    }
    insns.extend(answer(1));
    let behind = insns.len() as i16; // at most 8
    for (place, insn) in (1..).zip(&mut insns) {
        if insn.code == JNE32 {
            insn.offset = behind - place;
        }
    }
    insns
}

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

// Documentation/bpf/standardization/instruction-set.rst. All arithmetic is on 32 bits, so that a number of the kernel
// (u32) and an immediate (i32) compare by their bits.
const LOAD32: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const MOV32_REGISTER: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
const MOV32: u8 = 0xb4; // BPF_ALU | BPF_MOV | BPF_K
const ALU32_AND: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const ALU32_RSH: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const JNE32: u8 = 0x56; // BPF_JMP32 | BPF_JNE | BPF_K
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

const fn load(to: u8, offset: i16) -> Insn {
    Insn { code: LOAD32, registers: to | CONTEXT << 4, offset, immediate: 0 }
}

const fn copy(to: u8, from: u8) -> Insn {
    Insn { code: MOV32_REGISTER, registers: to | from << 4, offset: 0, immediate: 0 }
}

const fn constant(code: u8, register: u8, value: u32) -> Insn {
    Insn { code, registers: register, offset: 0, immediate: value.cast_signed() }
}

const fn answer(value: u32) -> [Insn; 2] {
    [constant(MOV32, RESULT, value), Insn { code: EXIT, registers: 0, offset: 0, immediate: 0 }]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would. Panics on an instruction that it does not know and on a missing exit.
    fn run(program: &[Insn], access: u32, kind: u32, major: u32, minor: u32) -> u32 {
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0_u32; 11];
        let mut at = 0_usize;
        loop {
            let insn = program[at];
            let (to, from) = (usize::from(insn.registers & 15), usize::from(insn.registers >> 4));
            let value = insn.immediate.cast_unsigned();
            at += 1;
            match insn.code {
                LOAD32 => registers[to] = context[insn.offset as usize / 4],
                MOV32_REGISTER => registers[to] = registers[from],
                MOV32 => registers[to] = value,
                ALU32_AND => registers[to] &= value,
                ALU32_RSH => registers[to] >>= value,
                JNE32 if registers[to] != value => at = at.checked_add_signed(insn.offset.into()).unwrap(),
                JNE32 => {}
                EXIT => return registers[0],
                code => panic!("unknown instruction {code:#x}"),
            }
        }
    }

    /// The meaning of a rule list in one line, to compare the program with.
    fn allows(rules: &[Rule], access: u8, kind: Kind, major: u32, minor: u32) -> bool {
        rules.iter().any(|rule| {
            rule.kind == kind
                && rule.major.is_none_or(|wanted| wanted == major)
                && rule.minor.is_none_or(|wanted| wanted == minor)
                && rule.access.contains(Access(access))
        })
    }

    fn assert_program_says_what_the_rules_say(rules: &[Rule]) {
        let program = program(rules);
        let numbers = |most: u32| (0..most).chain([4095, 1 << 20, u32::MAX]);
        for major in numbers(260) {
            for minor in numbers(20) {
                for access in 1..=7_u8 {
                    for kind in [Kind::Block, Kind::Char] {
                        let got = run(&program, access.into(), kind as u32, major, minor);
                        let wanted = u32::from(allows(rules, access, kind, major, minor));
                        assert_eq!(got, wanted, "{kind:?} {major}:{minor} access {access}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_program_allows_exactly_what_the_default_rules_allow() {
        assert_program_says_what_the_rules_say(&DEFAULT);
    }

    #[test]
    fn the_program_allows_exactly_what_rules_with_every_kind_of_wildcard_allow() {
        let access = [Access::MKNOD, Access::READ, Access::WRITE, Access::ALL];
        for (index, access) in access.into_iter().enumerate() {
            let kind = if index % 2 == 0 { Kind::Block } else { Kind::Char };
            assert_program_says_what_the_rules_say(&[
                Rule { kind, major: Some(7), minor: None, access },
                Rule { kind, major: None, minor: Some(3), access },
                Rule { kind, major: Some(u32::MAX), minor: Some(u32::MAX), access },
            ]);
        }
    }

    #[test]
    fn no_rule_is_no_access_and_every_device_is_every_device() {
        assert_program_says_what_the_rules_say(&[]);
        assert_program_says_what_the_rules_say(&EVERYTHING);
        assert!(allows(&EVERYTHING, 7, Kind::Block, 8, 0));
    }

    #[test]
    fn the_default_rules_know_the_disk_from_the_null_device() {
        assert!(allows(&DEFAULT, 6, Kind::Char, 1, 3), "null, read and write");
        assert!(allows(&DEFAULT, 1, Kind::Block, 8, 0), "a disk's node may be made");
        assert!(!allows(&DEFAULT, 2, Kind::Block, 8, 0), "but not be read");
        assert!(!allows(&DEFAULT, 2, Kind::Char, 1, 1), "nor the host's memory");
        assert!(!allows(&DEFAULT, 2, Kind::Char, 10, 229), "nor fuse");
        assert!(!allows(&DEFAULT, 4, Kind::Char, 5, 1), "nor the host's console");
    }

    #[test]
    fn what_is_berths_own_may_open_loop_devices_and_no_other_disk() {
        assert_program_says_what_the_rules_say(&own());
        assert!(allows(&own(), 6, Kind::Char, 10, 237), "the loop devices' control");
        assert!(allows(&own(), 6, Kind::Block, 7, 3) && !allows(&own(), 2, Kind::Block, 8, 0));
    }
}
