"""``python -m facelab`` is the command line."""

from facelab.study.commands import main

if __name__ == "__main__":
    main(prog_name="facelab")
