//! Launch templates and their versions.

use super::launch_request::INSTANCE;
use super::{Call, chosen};
use crate::sandbox::ec2::echo;
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, Filters, one};
use crate::sandbox::ec2::model::region::{Region, find};
use crate::sandbox::ec2::model::template::{LaunchTemplate, Version};
use crate::sandbox::ec2::model::{ACCOUNT, id};
use crate::sandbox::ec2::page::Page;
use crate::sandbox::ec2::request::Params;
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

const DATA: &[&[&str]] = &[INSTANCE, TAG_SPECIFICATION];
const NAMES: &[&str] = &["LaunchTemplateId", "LaunchTemplateName"];

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write(
        "CreateLaunchTemplate",
        create,
        &[
            &["*LaunchTemplateName", "*LaunchTemplateData", "VersionDescription", "ClientToken"],
            TAG_SPECIFICATION,
        ],
    )
    .with("LaunchTemplateData", DATA),
    Operation::write(
        "CreateLaunchTemplateVersion",
        create_version,
        &[NAMES, &["*LaunchTemplateData", "SourceVersion", "VersionDescription", "ClientToken"]],
    )
    .with("LaunchTemplateData", DATA),
    Operation::read(
        "DescribeLaunchTemplates",
        describe,
        &[&["LaunchTemplateId.N", "LaunchTemplateName.N"], FILTER, PAGE],
    ),
    Operation::read(
        "DescribeLaunchTemplateVersions",
        describe_versions,
        &[NAMES, &["LaunchTemplateVersion.N", "MinVersion", "MaxVersion"], FILTER, PAGE],
    ),
    Operation::write("DeleteLaunchTemplate", delete, &[NAMES]),
];

const FIELDS: &[Field<LaunchTemplate>] = &[
    ("launch-template-name", |template, _| one(&template.name)),
    ("create-time", |template, _| one(template.created)),
];

/// What a launch takes from a template.
pub(super) struct Base {
    pub id: String,
    pub name: String,
    pub version: u64,
    pub data: Params,
}

/// The version of a template that a `LaunchTemplateSpecification` names.
pub(super) fn resolve(region: &Region, specification: &Params) -> Result<Base, Fault> {
    let template = named(region, specification)?;
    let word = specification.text("Version");
    let version = template.version(word).ok_or_else(|| no_version(&template.id, word.unwrap_or_default()))?;
    let (id, name) = (template.id.clone(), template.name.clone());
    Ok(Base { id, name, version: version.number, data: version.data.clone() })
}

/// The error about a version that a template does not have.
fn no_version(template: &str, word: &str) -> Fault {
    let message =
        format!("Could not find the specified version {word} for the launch template with ID {template}.");
    Fault::new("InvalidLaunchTemplateId.VersionNotFound", message)
}

/// The template of `LaunchTemplateId` or `LaunchTemplateName`.
fn named<'a>(region: &'a Region, params: &Params) -> Result<&'a LaunchTemplate, Fault> {
    match (params.text("LaunchTemplateId"), params.text("LaunchTemplateName")) {
        (Some(id), None) => {
            id::LAUNCH_TEMPLATE.check(id)?;
            region.templates.get(id).ok_or_else(|| {
                let message =
                    format!("The specified launch template, with template ID {id}, does not exist.");
                Fault::new("InvalidLaunchTemplateId.NotFound", message)
            })
        }
        (None, Some(name)) => region.templates.values().find(|known| known.name == name).ok_or_else(|| {
            let message =
                format!("The specified launch template, with template name {name}, does not exist.");
            Fault::new("InvalidLaunchTemplateName.NotFoundException", message)
        }),
        (None, None) => Err(Fault::missing("LaunchTemplateId or LaunchTemplateName")),
        (Some(_), Some(_)) => Err(Fault::combination(
            "The parameters LaunchTemplateId and LaunchTemplateName cannot be used together",
        )),
    }
}

fn data(call: &Call<'_>) -> Result<Params, Fault> {
    let data = call.params.group("LaunchTemplateData").ok_or_else(|| Fault::missing("LaunchTemplateData"))?;
    tags::specifications(data, super::launch_request::TAGGED)?;
    Ok(data.clone())
}

fn create(call: &mut Call<'_>) -> Answer {
    let name = call.params.required("LaunchTemplateName")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "()./_-".contains(c);
    if !(3..=128).contains(&name.len()) || !name.chars().all(allowed) {
        let message = "Launch template names must be between 3 and 128 characters in length, and may contain \
                       letters, numbers, and the following characters: ( ) . / - _";
        return Err(Fault::new("InvalidLaunchTemplateName.MalformedException", message));
    }
    let id = match call.repeated("CreateLaunchTemplate")? {
        Some(id) if call.region.templates.contains_key(&id) => id,
        _ => {
            let data = data(call)?;
            let tags = tags::specified(call.params, "launch-template")?;
            if call.region.templates.values().any(|known| known.name == name) {
                let message = "Launch template name already in use.";
                return Err(Fault::new("InvalidLaunchTemplateName.AlreadyExistsException", message));
            }
            let id = id::LAUNCH_TEMPLATE.draw(&call.region.chance);
            let description = call.params.text("VersionDescription").map(str::to_owned);
            let first = Version { number: 1, description, created: call.now, data };
            let template = LaunchTemplate {
                id: id.clone(),
                name: name.to_owned(),
                created: call.now,
                versions: vec![first],
            };
            call.region.templates.insert(id.clone(), template);
            call.region.tag(&id, &tags);
            call.remember("CreateLaunchTemplate", &id);
            id
        }
    };
    let template = find(&call.region.templates, &id::LAUNCH_TEMPLATE, &id)?;
    let mut xml = Xml::new();
    xml.element("launchTemplate", |xml| write(xml, template, call.region));
    Ok(xml)
}

fn create_version(call: &mut Call<'_>) -> Answer {
    let template = named(call.region, call.params)?.clone();
    let number = match call.repeated("CreateLaunchTemplateVersion")? {
        Some(number) => number.parse().unwrap_or(template.latest()),
        None => {
            let given = data(call)?;
            let data = match call.params.text("SourceVersion") {
                None => given,
                Some(word) => {
                    let mut specification = Params::default();
                    specification.set("LaunchTemplateId", &template.id);
                    specification.set("Version", word);
                    resolve(call.region, &specification)?.data.overlaid(&given)
                }
            };
            let number = template.latest() + 1;
            let description = call.params.text("VersionDescription").map(str::to_owned);
            let version = Version { number, description, created: call.now, data };
            if let Some(template) = call.region.templates.get_mut(&template.id) {
                template.versions.push(version);
            }
            call.remember("CreateLaunchTemplateVersion", &number.to_string());
            number
        }
    };
    let template = find(&call.region.templates, &id::LAUNCH_TEMPLATE, &template.id)?;
    let mut xml = Xml::new();
    if let Some(version) = template.version(Some(&number.to_string())) {
        xml.element("launchTemplateVersion", |xml| write_version(xml, template, version));
    }
    Ok(xml)
}

fn describe(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, FIELDS)?;
    let page = Page::parse(call.params, 1..=200)?;
    let names = call.params.list("LaunchTemplateName");
    if names.iter().any(|name| call.region.templates.values().all(|known| known.name != **name)) {
        let message = "At least one of the launch templates specified in the request does not exist.";
        return Err(Fault::new("InvalidLaunchTemplateName.NotFoundException", message));
    }
    let found = chosen(&call.region.templates, &id::LAUNCH_TEMPLATE, &call.params.list("LaunchTemplateId"))?;
    let kept: Vec<&LaunchTemplate> = found
        .into_iter()
        .map(|(_, template)| template)
        .filter(|template| names.is_empty() || names.contains(&template.name.as_str()))
        .filter(|template| filters.accept(template, call.region, call.region.tags.get(&template.id)))
        .collect();
    let (templates, next) = page.cut(kept, |template| template.id.clone());
    let mut xml = Xml::new();
    xml.set("launchTemplates", templates, |xml, template| write(xml, template, call.region));
    xml.optional("nextToken", next);
    Ok(xml)
}

/// A version and the template it belongs to.
struct Listed<'a> {
    template: &'a LaunchTemplate,
    version: &'a Version,
}

fn describe_versions(call: &mut Call<'_>) -> Answer {
    let page = Page::parse(call.params, 1..=200)?;
    let words = call.params.list("LaunchTemplateVersion");
    let least: Option<u64> = call.params.integer("MinVersion")?;
    let most: Option<u64> = call.params.integer("MaxVersion")?;
    if call.params.has("Filter") {
        return Err(Fault::unsupported("the sandbox does not filter the versions of launch templates"));
    }
    let mut listed = Vec::new();
    if call.params.has("LaunchTemplateId") || call.params.has("LaunchTemplateName") {
        let template = named(call.region, call.params)?;
        let mut numbers = Vec::new();
        for word in &words {
            let version = template.version(Some(word)).ok_or_else(|| no_version(&template.id, word))?;
            numbers.push(version.number);
        }
        listed.extend(
            template
                .versions
                .iter()
                .filter(|version| words.is_empty() || numbers.contains(&version.number))
                .map(|version| Listed { template, version }),
        );
    } else {
        // Without a template, one version of each: the newest, the default, or both.
        if words.is_empty() || words.iter().any(|word| !matches!(*word, "$Latest" | "$Default")) {
            return Err(Fault::missing("LaunchTemplateId or LaunchTemplateName"));
        }
        for template in call.region.templates.values() {
            let wanted = |version: &&Version| {
                words.iter().any(|word| {
                    template.version(Some(word)).is_some_and(|named| named.number == version.number)
                })
            };
            let versions = template.versions.iter().filter(wanted);
            listed.extend(versions.map(|version| Listed { template, version }));
        }
    }
    listed.retain(|listed| {
        least.is_none_or(|least| listed.version.number >= least)
            && most.is_none_or(|most| listed.version.number <= most)
    });
    // Newest first: the key counts down.
    let key =
        |listed: &Listed<'_>| format!("{}/{:020}", listed.template.id, u64::MAX - listed.version.number);
    let (versions, next) = page.cut(listed, key);
    let mut xml = Xml::new();
    xml.set("launchTemplateVersionSet", versions, |xml, listed| {
        write_version(xml, listed.template, listed.version);
    });
    xml.optional("nextToken", next);
    Ok(xml)
}

fn delete(call: &mut Call<'_>) -> Answer {
    let template = named(call.region, call.params)?.clone();
    let mut xml = Xml::new();
    xml.element("launchTemplate", |xml| write(xml, &template, call.region));
    call.region.templates.remove(&template.id);
    call.region.tags.remove(&template.id);
    Ok(xml)
}

fn creator() -> String {
    format!("arn:aws:iam::{ACCOUNT}:user/sandbox")
}

fn write(xml: &mut Xml, template: &LaunchTemplate, region: &Region) {
    xml.text("launchTemplateId", &template.id).text("launchTemplateName", &template.name);
    xml.time("createTime", template.created).text("createdBy", creator());
    xml.text("defaultVersionNumber", template.default_version());
    xml.text("latestVersionNumber", template.latest());
    tags::write(xml, region.tags.get(&template.id));
}

fn write_version(xml: &mut Xml, template: &LaunchTemplate, version: &Version) {
    xml.text("launchTemplateId", &template.id).text("launchTemplateName", &template.name);
    xml.text("versionNumber", version.number).optional("versionDescription", version.description.as_ref());
    xml.time("createTime", version.created).text("createdBy", creator());
    xml.text("defaultVersion", version.number == template.default_version());
    xml.element("launchTemplateData", |xml| echo::write(xml, &version.data));
}
