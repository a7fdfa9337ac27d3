#include "cli/cli.hpp"

int main(int argc, char** argv) {
    return kwaai::cli::run_program(argc, argv);
}
