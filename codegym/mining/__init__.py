"""Mining: tasks from the functions of real Python code.

Source: the idea of Gorinski et al., arXiv 2310.13669 (signatures and unit tests from existing,
typed code), whose pipeline was not published; the order of the filters and the threshold on
mutation strength follow TransCoder-ST (facebookresearch/CodeGen). The reading is ours.

The order of the work: ``tree`` finds modules, ``finding`` their functions, ``inference`` types of
parameters, ``linking`` what must be carried along, ``purity`` what must not be there; ``harness``
studies a function in the sandbox (``inside``), ``recording`` records its answers there,
``duplicates`` and ``contamination`` turn away what is known; ``pipeline`` joins them.
"""
