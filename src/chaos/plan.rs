//! A run as it is drawn from its seed.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::weather::Weather;

/// Regions with three zones or more.
const REGIONS: [&str; 5] = ["us-west-2", "us-east-1", "eu-central-1", "eu-west-1", "ap-south-1"];
const TYPES: [&str; 5] = ["t3.micro", "t3a.micro", "t3.small", "m5.large", "c5.large"];
const STRATEGIES: [&str; 4] = ["price-capacity-optimized", "capacity-optimized", "lowest-price", "ordered"];
const SPREADS: [&str; 4] = ["even", "balanced", "cheapest", "capacity"];

/// A run: what is configured, what goes wrong, what is done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// What the project says.
    pub(super) settings: Settings,
    /// What goes wrong with cloud and hosts.
    pub(super) weather: Weather,
    /// Whether the hosts are real.
    pub real_hosts: bool,
    /// What is done before everything is removed, in order.
    pub steps: Vec<Step>,
    /// What happens to the first removal.
    pub removal: Trouble,
    /// Whether `nuke` has the last word.
    pub nuke: bool,
}

/// What the project's configuration says.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub count: u32,
    pub regions: Vec<&'static str>,
    pub types: Vec<&'static str>,
    pub on_demand: bool,
    pub on_demand_base: u32,
    pub spot_percent: u32,
    pub on_demand_fallback: bool,
    pub strategy: &'static str,
    pub spread: &'static str,
    pub dedicated: bool,
    pub ipv6: bool,
    pub files: bool,
    pub setup: bool,
    pub attempts: u32,
}

/// One command of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub command: Command,
    /// What happens to it meanwhile.
    pub trouble: Trouble,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Launches so many instances.
    Create(u32),
    /// Lists them.
    List,
    /// Runs a command on all of them.
    Run,
    /// Watches them, and replaces those that are taken back or not.
    Watch(bool),
    /// Removes one of them.
    DestroyOne,
    /// Removes all of them.
    Destroy,
    /// Removes everything in the account.
    Nuke,
}

impl Command {
    /// The names of all commands.
    pub const NAMES: [&str; 6] = ["create", "list", "run", "watch", "destroy", "nuke"];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Command::Create(_) => "create",
            Command::List => "list",
            Command::Run => "run",
            Command::Watch(_) => "watch",
            Command::DestroyOne | Command::Destroy => "destroy",
            Command::Nuke => "nuke",
        }
    }
}

/// What happens to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing; it runs in this process.
    None,
    /// Nothing; it runs in a process of its own.
    Alone,
    /// Its process is killed.
    Kill(Moment),
    /// Its process gets so many SIGINTs.
    Signal(u32, Moment),
    /// It is interrupted so many times, in this process.
    Interrupt(u32, Moment),
}

/// A moment of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// When so many calls have been answered.
    Calls(u64),
    /// When so many records have been written to the journal.
    Records(u64),
}

impl Plan {
    /// Draws a run. `recipes` are the commands to draw from; of an own recipe that creates it is not
    /// known how many instances it wants.
    pub fn draw(seed: u64, recipes: &[String], real_hosts: f64) -> Plan {
        let mut dice = StdRng::seed_from_u64(seed);
        let settings = Settings::draw(&mut dice);
        let weather = Weather::draw(&mut dice, seed, &settings);
        let may = |name: &str| recipes.iter().any(|recipe| recipe == name);
        let mut steps = Vec::new();
        let add = |steps: &mut Vec<Step>, dice: &mut StdRng, command: Command, share: f64| {
            let trouble = Trouble::draw(dice, share);
            if may(command.name()) {
                steps.push(Step { command, trouble });
            }
        };
        add(&mut steps, &mut dice, Command::Create(settings.count), 0.4);
        for _ in 0..dice.random_range(0..=3) {
            let command = match dice.random_range(0..10) {
                0..3 => Command::Create(dice.random_range(1..=3)),
                3 | 4 => Command::List,
                5 => Command::Run,
                6 | 7 => Command::Watch(dice.random_bool(0.6)),
                _ => Command::DestroyOne,
            };
            add(&mut steps, &mut dice, command, 0.25);
        }
        Plan {
            seed,
            removal: Trouble::draw(&mut dice, 0.35),
            nuke: dice.random_bool(0.2) && may("nuke"),
            // Drawn last, so that the share of real hosts changes nothing else of a seed.
            real_hosts: dice.random_bool(real_hosts.clamp(0.0, 1.0)),
            settings,
            weather,
            steps,
        }
    }
}

impl Settings {
    fn draw(dice: &mut StdRng) -> Settings {
        let count = if dice.random_bool(0.8) { dice.random_range(1..=4) } else { dice.random_range(5..=6) };
        let regions = dice.random_range(1..=3);
        let types = dice.random_range(1..=3);
        let dedicated = dice.random_bool(0.5);
        Settings {
            count,
            regions: REGIONS.sample(dice, regions).copied().collect(),
            types: TYPES.sample(dice, types).copied().collect(),
            on_demand: dice.random_bool(0.25),
            on_demand_base: if dice.random_bool(0.15) { 1 } else { 0 },
            spot_percent: if dice.random_bool(0.15) { 50 } else { 100 },
            on_demand_fallback: dice.random_bool(0.25),
            strategy: STRATEGIES.choose(dice).copied().unwrap_or("ordered"),
            spread: SPREADS.choose(dice).copied().unwrap_or("even"),
            dedicated,
            ipv6: dedicated && dice.random_bool(0.2),
            files: dice.random_bool(0.5),
            setup: dice.random_bool(0.7),
            attempts: dice.random_range(2..=6),
        }
    }
}

impl Trouble {
    /// Draws one that is something with a probability of `share`.
    fn draw(dice: &mut StdRng, share: f64) -> Trouble {
        let strikes = dice.random_bool(share);
        // Early moments are more interesting than late ones, of which most come after the end.
        let reach = if dice.random_bool(0.6) { 30 } else { 110 };
        let number = dice.random_range(1..=reach);
        let moment = if dice.random_bool(0.6) { Moment::Calls(number) } else { Moment::Records(number) };
        let times = if dice.random_bool(0.6) { 1 } else { 2 };
        match dice.random_range(0..10) {
            _ if !strikes => Trouble::None,
            0..4 => Trouble::Kill(moment),
            4 | 5 => Trouble::Signal(times, moment),
            6 => Trouble::Alone,
            _ => Trouble::Interrupt(times, moment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<String> {
        Command::NAMES.map(str::to_owned).into()
    }

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        for seed in 0..50 {
            let plan = |real| {
                format!("{:?}", Plan::draw(seed, &all(), real))
                    .replace("real_hosts: true", "real_hosts: false")
            };
            assert_eq!(plan(0.0), plan(0.0));
            assert_eq!(plan(0.0), plan(1.0));
        }
        assert_ne!(format!("{:?}", Plan::draw(1, &all(), 0.0)), format!("{:?}", Plan::draw(2, &all(), 0.0)));
    }

    #[test]
    fn only_the_wanted_commands_are_drawn_and_each_of_them_is() {
        let only = Plan::draw(3, &["create".to_owned()], 0.0);
        assert!(only.steps.iter().all(|step| step.command.name() == "create") && !only.nuke);
        let plans: Vec<Plan> = (0..200).map(|seed| Plan::draw(seed, &all(), 0.0)).collect();
        for name in ["create", "list", "run", "watch", "destroy"] {
            let drawn = |plan: &Plan| plan.steps.iter().any(|step| step.command.name() == name);
            assert!(plans.iter().any(drawn), "{name}");
        }
        assert!(plans.iter().any(|plan| plan.nuke));
        assert!(plans.iter().any(|plan| matches!(plan.removal, Trouble::Kill(_))));
    }
}
