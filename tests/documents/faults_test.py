#!/usr/bin/env python3
"""The checks of this folder find what they are for."""

import pathlib
import tempfile
import unittest

import commands
import cpp_blocks
import declarations
import headers
import links
from library import Library, Missing
from markdown import Page, PageError
from page import Page as ReferencePage
from signatures import Signatures


def read(source):
    return headers.read_header("some.h", source)


class HeadersTest(unittest.TestCase):
    def test_members_have_type_name_default_and_both_kinds_of_comment(self):
        found = read(
            'struct A {\n  /// Before.\n  std::map<int, std::string> a = {{1, "="}};\n'
            "  int64_t b;  ///< behind,\n              ///< twice\n};"
        ).classes[0]
        first, second = declarations.data_members(found)
        self.assertEqual(
            (first.name, first.type, first.default, first.doc),
            ("a", "std::map<int, std::string>", '{{1, "="}}', "Before."),
        )
        self.assertEqual((second.name, second.default, second.doc), ("b", "", "behind,\ntwice"))

    def test_private_members_and_bodies_are_no_part_of_a_class(self):
        found = read(
            "class A : public B<int> {\n public:\n  explicit A(int a) : a_{a} { f(); }\n"
            "  int a() const { return a_; }\n private:\n  int a_ = 0;\n};"
        ).classes[0]
        names = [declarations.function(d, "").name for d in found.public]
        self.assertEqual((names, found.bases), (["A", "a"], ["B<int>"]))

    def test_what_is_not_understood_is_an_error_with_its_line(self):
        for source in ("\n#define A 1", "\nint a = `;", "\nstruct A { int a", "\n)"):
            with self.subTest(source), self.assertRaisesRegex(headers.HeaderError, "some.h:2"):
                read(source)
        with self.assertRaisesRegex(headers.HeaderError, "want one `type name"):
            declarations.data_members(read("struct A { int a, b; };").classes[0])


class ReferenceTest(unittest.TestCase):
    def test_arguments_that_theirs_has_alone_are_refused(self):
        library = Library()
        page = ReferencePage(
            library, Signatures("keras.layers.A(units, b=(1, 1), c=None, **kwargs)")
        )
        library.classes["nn::AOptions"] = read(
            "namespace cohort::nn { struct AOptions { int units; int b = 2; }; }"
        ).classes[0]
        made = read(
            "namespace cohort::nn { class A : public Layer { public: explicit A(AOptions options); }; }"
        ).classes[0]
        entry = page.entry("nn::A", library.constructors(made), "")
        refused, differing = page.compare(entry, page.theirs("nn::A", "keras.layers")[1])
        self.assertEqual((refused, differing), (["c"], {"b": (1, 1)}))

    def test_the_fields_of_an_aggregate_are_its_arguments(self):
        made = read(
            "namespace cohort::nn { struct A { static constexpr int kName = 1; int units; int b = 2;\n"
            "operator Layer() const; X operator()(const X& x) && { return f(x); }\n"
            "void operator()(const X& x) const& = delete; }; }"
        ).classes[0]
        page = ReferencePage(Library(), Signatures("keras.layers.A(units, b=2, c=None)"))
        entry = page.options_entry(made)
        self.assertEqual(made.converts_to, ["Layer"])
        self.assertEqual(entry.texts(), ["nn::A{.units, .b = 2}"])
        self.assertEqual(page.compare(entry, page.theirs("nn::A", "keras.layers")[1])[0], ["c"])

    def test_a_name_that_they_do_not_have_is_an_error(self):
        with self.assertRaisesRegex(Missing, "keras.layers.Dence"):
            ReferencePage(Library(), Signatures("")).theirs("nn::Dence", "keras.layers")

    def test_a_class_of_no_section_is_an_error(self):
        library = Library()
        library.classes["nn::New"] = read(
            "namespace cohort::nn { class New { public: int a; }; }"
        ).classes[0]
        with self.assertRaisesRegex(Missing, "some.h:1: nn::New"):
            library.check_all_listed()


class PagesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name).resolve()

    def write(self, files):
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def expect(self, found, *parts):
        self.assertEqual(len(found), len(parts), found)
        for problem, part in zip(found, parts):
            self.assertIn(part, problem)

    def test_links_without_an_end_are_found(self):
        self.write(
            {
                "README.md": "# A b\n[a](docs/a.md#x-y) [b](none.md) [c](#a-b) [d](#b)\n",
                "docs/a.md": "## X: `y`\n",
                "docs/alone.md": "[home](../README.md)\n",
            }
        )
        self.expect(
            links.problems(self.root), "README.md:2: none.md", "README.md:2: #b", "docs/alone.md"
        )

    def test_blocks_without_a_language_are_found(self):
        self.write({"README.md": "```\na\n```\n\n    indented\n<!-- test: file -->\ntext\n"})
        self.expect(links.problems(self.root), "README.md:1", "README.md:5", "README.md:6")

    def blocks(self, text):
        return cpp_blocks.sources([Page("docs/a.md", text)])

    def test_blocks_become_cases_programs_and_files(self):
        block = "```cpp\n%s\n```\n"
        files, lines = self.blocks(
            block % "int main() {}"
            + "<!-- test: file -->\n"
            + block % "class A {};"
            + block % "A a;"
            + "<!-- test: continues -->\n"
            + block % "use(a);"
            + "<!-- test: compile: no GPU -->\n"
            + block % "b();"
            + "<!-- test: as=x/y.cc -->\n"
            + block % "int c;"
        )
        self.assertEqual(lines, ["program a_2 a_2.cc yes", "page include/x/y.cc", "page a.cc"])
        text = files["a.cc"]
        self.assertLess(text.index("class A"), text.index("TEST(APage, Line9)"))
        self.assertIn('#line 13 "docs/a.md"\nuse(a);', text)
        self.assertEqual(text.count("TEST("), 1)
        self.assertIn("void line_17() {", text)

    def test_comments_that_say_nothing_known_are_errors(self):
        for words in ("setup=unheard_of", "skip", "compile", "continues"):
            with self.subTest(words), self.assertRaises(PageError):
                self.blocks(f"<!-- test: {words} -->\n```cpp\na;\n```\n")
        with self.assertRaises(PageError):
            self.blocks("<!-- test: file -->\n```sh\na\n```\n")

    def commands(self, text, **more):
        self.write(
            {
                "README.md": text,
                "CMakePresets.json": '{"configurePresets": [{"name": "release"}],'
                ' "testPresets": []}',
                "examples/a.cc": "",
                "launch/b.sh": "echo ${COHORT_B}",
                **more,
            }
        )
        return commands.problems({"a": "/bin/ls"}, self.root)

    def test_what_exists_is_no_problem(self):
        self.assertEqual(
            self.commands(
                "`launch/b.sh` with `COHORT_B`\n```sh\ncmake --preset release\nCOHORT_B=1 launch/b.sh\n"
                "build/release/examples/a --all  # --none\ncmake --build build/release --target a\n```\n"
            ),
            [],
        )

    def test_what_does_not_exist_is_found(self):
        self.expect(
            self.commands(
                "`launch/c.sh`, `examples/{a,c}.cc`, `COHORT_Y`\n```sh\ncmake --preset debug -DCOHORT_X=1\n"
                "cmake --build build/release --target c\nbuild/debug/x\nbuild/release/examples/c\n"
                "build/release/examples/a --none\ncp launch/c.sh x\n```\n"
            ),
            "--preset debug",
            "-DCOHORT_X",
            "--target c",
            "no preset debug",
            "examples/c",
            "a --none",
            "no launch/c.sh",
            "no launch/c.sh",
            "no examples/c.cc",
            "reads COHORT_B",
            "COHORT_Y: nothing",
        )

    def test_a_block_that_no_shell_takes_is_found(self):
        self.expect(self.commands("`COHORT_B`\n```sh\nif true\n```\n"), "README.md:3")


if __name__ == "__main__":
    unittest.main()
