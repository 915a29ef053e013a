"""Mining: turns the functions of real Python code into tasks.

Source: the idea of Gorinski et al., arXiv 2310.13669 (signatures and unit tests from existing,
typed code), whose pipeline was not published; the order of the filters and the threshold on
mutation strength follow TransCoder-ST (facebookresearch/CodeGen). The details are ours.

The steps in order: ``module_tree`` finds modules, ``finding`` their functions, ``inference`` the
types of parameters; ``program_assembly`` joins a function and its dependencies to a program, and
``purity`` rejects impure code. ``harness`` studies the function in the sandbox (``inside``), and
``recorded_answers`` records its answers there. ``duplicate_programs`` and ``contamination`` reject
known functions. ``pipeline`` runs all steps.
"""
