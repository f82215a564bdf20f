//! Classic BPF, as far as seccomp filters use it (kernel documentation, "Linux Socket Filtering").
//!
//! Owns the evaluation of a filter for one call, when the kernel has told of the call but not of the filter's
//! verdict.

const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const JUMP_SET: u16 = 0x45;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

/// The value that a filter returns for `data`, `struct seccomp_data` in words. `None` for a program that has
/// another instruction or runs off its end. It ends always: jumps go forwards.
pub(crate) fn run(program: &[libc::sock_filter], data: &[u32; 16]) -> Option<u32> {
    let (mut at, mut accumulator) = (0usize, 0u32);
    loop {
        let instruction = program.get(at)?;
        let (k, jt, jf) = (instruction.k, usize::from(instruction.jt), usize::from(instruction.jf));
        let branch = |holds: bool| if holds { jt } else { jf };
        let skipped = match instruction.code {
            LOAD_WORD if k.is_multiple_of(4) => {
                accumulator = *data.get(k as usize / 4)?;
                0
            }
            AND => {
                accumulator &= k;
                0
            }
            JUMP => k as usize,
            JUMP_EQUAL => branch(accumulator == k),
            JUMP_GREATER => branch(accumulator > k),
            JUMP_GREATER_EQUAL => branch(accumulator >= k),
            JUMP_SET => branch(accumulator & k != 0),
            RETURN => return Some(k),
            _ => return None,
        };
        at = at.checked_add(skipped)?.checked_add(1)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code, jt, jf, k }
    }

    #[test]
    fn a_filter_is_followed_as_the_kernel_does() {
        let program = [
            instruction(LOAD_WORD, 0, 0, 0),
            instruction(JUMP_EQUAL, 0, 3, 41),
            instruction(LOAD_WORD, 0, 0, 16),
            instruction(AND, 0, 0, 0xf),
            instruction(JUMP_SET, 2, 1, 2),
            instruction(JUMP_GREATER, 0, 1, 100),
            instruction(RETURN, 0, 0, 7),
            instruction(RETURN, 0, 0, 9),
        ];
        let verdict = |number, argument| {
            let mut data = [0; 16];
            (data[0], data[4]) = (number, argument);
            run(&program, &data)
        };
        assert_eq!(verdict(41, 0xf2), Some(9));
        assert_eq!(verdict(41, 0xf1), Some(7));
        assert_eq!(verdict(101, 0), Some(7));
        assert_eq!(verdict(100, 0), Some(9));
    }

    #[test]
    fn what_is_no_filter_gives_no_verdict() {
        let data = [0; 16];
        assert_eq!(run(&[], &data), None);
        assert_eq!(run(&[instruction(LOAD_WORD, 0, 0, 64)], &data), None);
        assert_eq!(run(&[instruction(JUMP, 0, 0, u32::MAX)], &data), None);
        assert_eq!(run(&[instruction(0x87, 0, 0, 0)], &data), None);
    }
}
