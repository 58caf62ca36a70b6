//! The command line; everything happens in [`spot::cli`].

fn main() -> std::process::ExitCode {
    spot::cli::main()
}
