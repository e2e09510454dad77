//! The task's size: the strings in which ECS takes CPU and memory, and the pairs that Fargate knows. Pure arithmetic.

/// The 74 pairs of Fargate: CPU units, and from, to and step of the memory in MiB.
const FARGATE: [(u32, u32, u32, u32); 8] = [
    (256, 512, 512, 512),
    (256, 1024, 2048, 1024),
    (512, 1024, 4 * 1024, 1024),
    (1024, 2 * 1024, 8 * 1024, 1024),
    (2048, 4 * 1024, 16 * 1024, 1024),
    (4096, 8 * 1024, 30 * 1024, 1024),
    (8192, 16 * 1024, 60 * 1024, 4 * 1024),
    (16384, 32 * 1024, 120 * 1024, 8 * 1024),
];

/// CPU units from `"256"`, `".25 vCPU"` or `"1vcpu"`.
pub(super) fn cpu_units(text: &str) -> Option<u32> {
    quantity(text, "vcpu")
}

/// MiB from `"512"`, `"0.5 GB"` or `"1gb"`.
pub(super) fn memory_mib(text: &str) -> Option<u32> {
    quantity(text, "gb")
}

/// A plain number of the small unit, or a decimal one of the large unit, which is 1024 of the small.
fn quantity(text: &str, large: &str) -> Option<u32> {
    let text = text.trim().to_ascii_lowercase();
    let Some(number) = text.strip_suffix(large) else {
        return text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    };
    let number = number.trim_end();
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let small = plain.then(|| number.parse::<f64>().ok()).flatten()? * 1024.0;
    (small.fract() == 0.0 && small <= f64::from(u32::MAX)).then_some(small as u32)
}

/// The memory that Fargate has for so many CPU units, in MiB, ascending; empty for a CPU size that it does not know.
pub(super) fn fargate_memory(cpu_units: u32) -> Vec<u32> {
    let rows = FARGATE.iter().filter(|row| row.0 == cpu_units);
    rows.flat_map(|&(_, from, to, step)| (from..=to).step_by(step as usize)).collect()
}

/// The CPU sizes of Fargate, in CPU units.
pub(super) fn fargate_cpu() -> impl Iterator<Item = u32> {
    // The first row's size has a second row.
    FARGATE.iter().skip(1).map(|row| row.0)
}

/// The smallest size of Fargate that has so many CPU units and so many MiB: the least CPU first, then the least memory.
pub fn smallest_size(cpu_units: u32, memory_mib: u32) -> Option<(u32, u32)> {
    let pairs = fargate_cpu().filter(|cpu| *cpu >= cpu_units);
    pairs
        .flat_map(|cpu| fargate_memory(cpu).into_iter().map(move |memory| (cpu, memory)))
        .find(|pair| pair.1 >= memory_mib)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_all_forms_that_ecs_takes() {
        for text in ["256", ".25 vCPU", "0.25vcpu", " 256 ", "0.250 VCPU"] {
            assert_eq!(cpu_units(text), Some(256), "{text}");
        }
        for text in ["512", ".5 gb", "0.5GB", "0.5 Gb"] {
            assert_eq!(memory_mib(text), Some(512), "{text}");
        }
        assert_eq!((memory_mib("120GB"), cpu_units("16 vCPU")), (Some(122_880), Some(16_384)));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in
            ["", "vCPU", ".", ". vcpu", "-1", "+1", "1e3", "1e3 vcpu", "inf vcpu", "0.1 vcpu", "1 GB", "99999999999"]
        {
            assert_eq!(cpu_units(text), None, "{text}");
        }
        for text in ["1 MB", "512 MiB", "1 vCPU", "0.0001 GB", "99999999999999 GB"] {
            assert_eq!(memory_mib(text), None, "{text}");
        }
    }

    #[test]
    fn the_smallest_size_has_enough_of_both() {
        assert_eq!(smallest_size(0, 0), Some((256, 512)));
        assert_eq!(smallest_size(200, 2049), Some((512, 3072)));
        assert_eq!(smallest_size(257, 100), Some((512, 1024)));
        assert_eq!((smallest_size(16_385, 1), smallest_size(1, 122_881)), (None, None));
    }

    #[test]
    fn fargate_knows_74_pairs() {
        let pairs: Vec<_> =
            fargate_cpu().flat_map(|cpu| fargate_memory(cpu).into_iter().map(move |memory| (cpu, memory))).collect();
        assert_eq!(pairs.len(), 74);
        assert!(pairs.is_sorted() && pairs.contains(&(256, 2048)) && !pairs.contains(&(256, 1536)));
        assert!(fargate_memory(32_768).is_empty());
    }
}
