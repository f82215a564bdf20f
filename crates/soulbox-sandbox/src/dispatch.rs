//! Makes a compiled filter cheap to install: a binary search over system call numbers instead of a list.
//!
//! Owns the rearrangement of BPF programs, and changes no verdict. seccompiler compares the number with one
//! allowed call after the other, and at each installation the kernel translates the whole program and
//! evaluates it once for every number (seccomp(2), the "always allowed" bitmap): 0.7 ms for 250 calls. As a
//! search tree over ranges of numbers the same filter takes a tenth of that.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use seccompiler::{BpfProgram, sock_filter};

// Instruction codes of classic BPF (kernel documentation, "Linux Socket Filtering").
const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_EQUAL: u16 = 0x35;
pub(crate) const RETURN: u16 = 0x06;
/// The part of a code that says what kind of instruction it is.
const CLASS: u16 = 0x07;

/// Offset of `nr` in `struct seccomp_data`.
const NUMBER_OFFSET: u32 = 0;

/// Above every number of the architecture, and below what x32 calls set in theirs (bit 30).
const NUMBER_LIMIT: u32 = 1024;

/// Farthest that a conditional jump reaches.
const FARTHEST: usize = u8::MAX as usize;

/// What a program does with a number, before it looks at arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It returns this value.
    Return(u32),
    /// It goes on at this instruction, where it looks at arguments.
    Continue(usize),
}

/// The same filter as a search tree, with the numbers of `overrides` returning those values instead.
/// A program that is not of seccompiler's form is returned as it is, when there is nothing to override.
pub(crate) fn as_search_tree(program: &BpfProgram, overrides: &BTreeMap<u32, u32>) -> Option<BpfProgram> {
    // The architecture is checked first, and then the number is loaded.
    let load = program.iter().position(|i| i.code == LOAD_WORD && i.k == NUMBER_OFFSET)?;
    let body = load + 1;
    let mut ranges: Vec<(Range<u32>, Verdict)> = Vec::new();
    for number in 0..=NUMBER_LIMIT {
        let verdict = match overrides.get(&number) {
            Some(value) => Verdict::Return(*value),
            None => evaluate(program, body, number)?,
        };
        match ranges.last_mut() {
            Some((range, last)) if *last == verdict => range.end = number + 1,
            _ => ranges.push((number..number + 1, verdict)),
        }
    }
    let mut result = program[..body].to_vec();
    let tree = tree(&ranges);
    let chains = result.len() + tree.len();
    let mut tails = Vec::new();
    for (at, node) in tree.into_iter().enumerate() {
        let instruction = match node {
            Node::Instruction(instruction) => instruction,
            Node::Continue(target) => {
                let to = chains + tails.len();
                tails.append(&mut chain(program, target)?);
                jump(u32::try_from(to - (body + at) - 1).ok()?)
            }
        };
        result.push(instruction);
    }
    result.append(&mut tails);
    Some(result)
}

/// Follows the program for one number until it returns or looks at an argument.
fn evaluate(program: &BpfProgram, start: usize, number: u32) -> Option<Verdict> {
    let mut at = start;
    loop {
        let instruction = program.get(at)?;
        at += 1;
        match instruction.code {
            RETURN => return Some(Verdict::Return(instruction.k)),
            LOAD_WORD => return Some(Verdict::Continue(at - 1)),
            JUMP => at += instruction.k as usize,
            JUMP_EQUAL => {
                at += usize::from(if number == instruction.k { instruction.jt } else { instruction.jf })
            }
            _ => return None,
        }
    }
}

/// The instructions that can be reached from `start`, where the rules of one call begin, up to the last of
/// them. Jumps are relative, so that they can be moved as a whole. Between them lie jumps to the rules of
/// other calls, which nothing reaches any more; they become returns.
fn chain(program: &BpfProgram, start: usize) -> Option<BpfProgram> {
    let mut reached = BTreeSet::new();
    let mut ahead = vec![start];
    while let Some(at) = ahead.pop() {
        let instruction = program.get(at)?;
        if !reached.insert(at) {
            continue;
        }
        match instruction.code {
            RETURN => {}
            JUMP => ahead.push(at + 1 + instruction.k as usize),
            code if code & CLASS == JUMP => {
                ahead.extend([instruction.jt, instruction.jf].map(|over| at + 1 + usize::from(over)));
            }
            _ => ahead.push(at + 1),
        }
    }
    let copy = |at| if reached.contains(&at) { program[at].clone() } else { return_value(0) };
    Some((start..=*reached.last()?).map(copy).collect())
}

enum Node {
    Instruction(sock_filter),
    Continue(usize),
}

fn tree(ranges: &[(Range<u32>, Verdict)]) -> Vec<Node> {
    match ranges {
        [] => Vec::new(),
        [(_, Verdict::Return(value))] => {
            vec![Node::Instruction(return_value(*value))]
        }
        [(_, Verdict::Continue(target))] => vec![Node::Continue(*target)],
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let first = high[0].0.start;
            let mut nodes = Vec::new();
            let low = tree(low);
            let greater_equal = |jt, jf| sock_filter { code: JUMP_GREATER_EQUAL, jt, jf, k: first };
            match u8::try_from(low.len()) {
                Ok(over) if low.len() <= FARTHEST => nodes.push(Node::Instruction(greater_equal(over, 0))),
                // Too far for a conditional jump: over an unconditional one.
                _ => {
                    nodes.push(Node::Instruction(greater_equal(0, 1)));
                    nodes.push(Node::Instruction(jump(low.len() as u32)));
                }
            }
            nodes.extend(low);
            nodes.extend(tree(high));
            nodes
        }
    }
}

fn return_value(value: u32) -> sock_filter {
    sock_filter { code: RETURN, jt: 0, jf: 0, k: value }
}

fn jump(over: u32) -> sock_filter {
    sock_filter { code: JUMP, jt: 0, jf: 0, k: over }
}

#[cfg(test)]
mod tests {
    use seccompiler::{
        SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
        TargetArch,
    };

    use super::*;

    const X86_64: u32 = 0xc000_003e;

    /// Classic BPF over `struct seccomp_data`, as the kernel interprets it.
    fn run(program: &BpfProgram, arch: u32, number: u32, args: [u64; 6]) -> u32 {
        let mut data = [0u8; 64];
        data[0..4].copy_from_slice(&number.to_ne_bytes());
        data[4..8].copy_from_slice(&arch.to_ne_bytes());
        for (index, arg) in args.iter().enumerate() {
            data[16 + index * 8..24 + index * 8].copy_from_slice(&arg.to_ne_bytes());
        }
        let (mut at, mut a) = (0, 0u32);
        loop {
            let i = &program[at];
            at += 1;
            let branch = |taken: bool| usize::from(if taken { i.jt } else { i.jf });
            match i.code {
                0x20 => a = u32::from_ne_bytes(data[i.k as usize..][..4].try_into().unwrap()),
                0x05 => at += i.k as usize,
                0x15 => at += branch(a == i.k),
                0x25 => at += branch(a > i.k),
                0x35 => at += branch(a >= i.k),
                0x54 => a &= i.k,
                0x06 => return i.k,
                code => panic!("unknown instruction {code:#x}"),
            }
        }
    }

    fn condition(index: u8, op: SeccompCmpOp, value: u64) -> SeccompCondition {
        SeccompCondition::new(index, SeccompCmpArgLen::Dword, op, value).unwrap()
    }

    fn filter() -> BpfProgram {
        let rule = |conditions| SeccompRule::new(conditions).unwrap();
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = (0..400).step_by(3).map(|n| (n, vec![])).collect();
        rules.extend((100..160).map(|n| (n, vec![])));
        rules.insert(
            41,
            vec![
                rule(vec![condition(0, SeccompCmpOp::Eq, 1), condition(1, SeccompCmpOp::MaskedEq(0xf), 2)]),
                rule(vec![condition(0, SeccompCmpOp::Eq, 2)]),
            ],
        );
        rules.insert(16, vec![rule(vec![condition(1, SeccompCmpOp::Ne, 0x5412)])]);
        rules.insert(435, vec![rule(vec![condition(5, SeccompCmpOp::Ge, 7)])]);
        SeccompFilter::new(rules, SeccompAction::Errno(1), SeccompAction::Allow, TargetArch::x86_64)
            .unwrap()
            .try_into()
            .unwrap()
    }

    #[test]
    fn every_number_has_the_verdict_it_had() {
        let before = filter();
        let after = as_search_tree(&before, &BTreeMap::new()).unwrap();
        assert!(after.len() < before.len(), "{} of {}", after.len(), before.len());
        let beyond = [1023, 1024, 1025, 0x4000_0000, 0x4000_0000 | 41, u32::MAX];
        for number in (0..1100).chain(beyond) {
            for args in
                [[0; 6], [1, 2, 0, 0, 0, 0], [1, 0x12, 0, 0, 0, 9], [2, 0x5412, 0, 0, 0, 7], [u64::MAX; 6]]
            {
                for arch in [X86_64, 0x4000_0003] {
                    let (expected, got) = (run(&before, arch, number, args), run(&after, arch, number, args));
                    assert_eq!(got, expected, "number {number}, arch {arch:#x}, args {args:?}");
                }
            }
        }
    }

    #[test]
    fn overrides_change_their_numbers_alone() {
        let before = filter();
        let after = as_search_tree(&before, &BTreeMap::from([(42, 0x8000_0000), (41, 7)])).unwrap();
        assert_eq!(run(&after, X86_64, 42, [0; 6]), 0x8000_0000);
        assert_eq!(run(&after, X86_64, 41, [2; 6]), 7);
        for number in (0..1100).filter(|number| ![41, 42].contains(number)) {
            assert_eq!(run(&after, X86_64, number, [0; 6]), run(&before, X86_64, number, [0; 6]));
        }
    }

    #[test]
    fn far_jumps_are_made_by_a_jump_of_their_own() {
        let rules = (0..900).step_by(2).map(|n| (n, vec![])).collect();
        let before: BpfProgram =
            SeccompFilter::new(rules, SeccompAction::Errno(1), SeccompAction::Allow, TargetArch::x86_64)
                .unwrap()
                .try_into()
                .unwrap();
        let after = as_search_tree(&before, &BTreeMap::new()).unwrap();
        for number in 0..1100 {
            assert_eq!(run(&after, X86_64, number, [0; 6]), run(&before, X86_64, number, [0; 6]), "{number}");
        }
    }
}
